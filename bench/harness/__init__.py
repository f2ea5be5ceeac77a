# SPDX-License-Identifier: MIT
"""What bench/run is made of.

suites    what is measured: the one table of problems, sizes, peers and aims
build     configures and builds the programs, and finds out which peers are there
compute   programs that end: alternating runs, medians
servers   programs that serve: rates as ratios to a bare epoll server, taken in turns
micro     Google Benchmark programs
results   what a measurement leaves behind
report    tables for the terminal and for Markdown
plots     bar charts as SVG
"""
