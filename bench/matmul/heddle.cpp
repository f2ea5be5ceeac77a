// SPDX-License-Identifier: MIT
#include "matmul/heddle.h"

int main(int argc, char** argv) {
  return bench::matmul::main_on_heddle<bench::matmul::multiply_leaf>(argc, argv,
                                                                     {"matmul", "heddle"});
}
