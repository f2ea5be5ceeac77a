// SPDX-License-Identifier: MIT
#include "matmul/heddle.h"

#include "matmul/leaf.h"

int main(int argc, char** argv) {
  return bench::matmul::main_on_heddle<bench::matmul::multiply_leaf_inline>(
      argc, argv, {"matmul_inlined", "heddle"});
}
