# SPDX-License-Identifier: MIT
"""What bench/run is made of.

suites    what is measured: the one table of suites, problems, sizes, peers and aims
build     configures and builds the programs, and finds out which peers are there
compute   programs that end: alternating runs, medians
fairness  delays while storms keep every loop busy
primitives  one operation a row, beside the same of peers, in turns
servers   programs that serve: rates as ratios to a bare epoll server, taken in turns
micro     Google Benchmark programs
results   what a measurement leaves behind
report    tables for the terminal and for Markdown
plots     charts as SVG: bars, and what curves and dots draw
"""
