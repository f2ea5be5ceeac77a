// SPDX-License-Identifier: MIT
#include "matmul/onetbb.h"

int main(int argc, char** argv) {
  return bench::matmul::main_on_onetbb<bench::matmul::multiply_leaf>(argc, argv,
                                                                     {"matmul", "onetbb"});
}
