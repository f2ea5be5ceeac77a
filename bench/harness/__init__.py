# SPDX-License-Identifier: MIT
"""What bench/run is made of.

suites    what is measured: the one table of suites, problems, sizes, peers and aims
items     the shapes of its rows
build     configures and builds the programs, and finds out which peers are there
compute   programs that end: alternating runs, medians
fairness  delays while storms keep every loop busy
primitives  one operation a row, beside the same of peers, in turns
servers   programs that serve: rates as ratios to a bare epoll server, taken in turns
clients   programs that ask nginx: rates as ratios to wrk's
connections  memory of connections that wait
steady    samples between two of a reference, for both
nginx     how nginx is told what it serves
process   programs that are run to their end, or while they are needed
wire      exact numbers of requests, for what counts
instructions  what bench/instructions does
micro     Google Benchmark programs
results   what a measurement leaves behind
report    tables for the terminal and for Markdown
plots     charts as SVG: bars, and what curves and dots draw
"""
