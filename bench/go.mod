// SPDX-License-Identifier: MIT
// The bench's programs in Go. They use nothing but Go's own library.
module bench

go 1.19
