#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""HTTP/1.1 as heddle-serve speaks it, byte by byte, on bare sockets."""
import json
import time

import support

HOST = "Host: here\r\n"


class Conversations(support.ServedTest):
    def test_a_connection_is_kept_from_request_to_request(self):
        wire = self.wire()
        for _ in range(200):
            a = wire.get("/plaintext")
            self.assertEqual((a.status, a.body), (200, b"Hello, World!"))
            self.assertNotEqual(a["connection"], "close")

    def test_connection_close_is_obeyed(self):
        wire = self.wire()
        a = wire.get("/plaintext", "Connection: close\r\n")
        self.assertEqual((a.status, a["connection"]), (200, "close"))
        self.assertEqual(wire.rest(), b"")

    def test_http_1_0_needs_no_host_and_closes(self):
        wire = self.wire()
        wire.send("GET /plaintext HTTP/1.0\r\n\r\n")
        a = wire.answer()
        self.assertEqual((a.status, a.body), (200, b"Hello, World!"))
        self.assertEqual(wire.rest(), b"")

    def test_http_1_0_may_keep_its_connection(self):
        wire = self.wire()
        for _ in range(2):
            wire.send("GET /plaintext HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            a = wire.answer()
            self.assertEqual((a.status, a["connection"].lower()), (200, "keep-alive"))

    def test_sixteen_pipelined_answers_come_in_one_send(self):
        for _ in range(20):
            wire = self.wire()
            wire.send(f"GET /plaintext HTTP/1.1\r\n{HOST}\r\n" * 16)
            # One send on the loopback device arrives as one piece; of several, the first would.
            piece = wire.socket.recv(1 << 20)
            self.assertEqual(piece.count(b"HTTP/1.1 200 OK"), 16)
            self.assertEqual(piece.count(b"Hello, World!"), 16)

    def test_pipelined_answers_come_in_the_order_of_their_requests(self):
        wire = self.wire()
        # The first take longest, on other threads.
        counts = [2_000_000 >> i for i in range(16)]
        wire.send("".join(f"GET /hash?n={n} HTTP/1.1\r\n{HOST}\r\n" for n in counts))
        self.assertEqual([json.loads(wire.answer().body)["n"] for _ in counts], counts)

    def test_ready_answers_do_not_wait_for_a_slow_one_behind_them(self):
        wire = self.wire()
        began = time.monotonic()
        wire.send(f"GET /plaintext HTTP/1.1\r\n{HOST}\r\nGET /sleep?ms=20000 HTTP/1.1\r\n{HOST}\r\n")
        self.assertEqual(wire.answer().body, b"Hello, World!")
        self.assertLess(time.monotonic() - began, 19)

    def test_a_request_may_come_byte_by_byte(self):
        wire = self.wire()
        for byte in f"GET /plaintext HTTP/1.1\r\n{HOST}X-Empty:\r\n\r\n":
            wire.send(byte)
        self.assertEqual(wire.answer().body, b"Hello, World!")

    def test_a_request_may_be_cut_anywhere(self):
        text = f"GET /hash?n=7 HTTP/1.1\r\n{HOST}Content-Length: 3\r\n\r\nabcGET /json HTTP/1.1\r\n{HOST}\r\n"
        wire = self.wire()
        for cut in range(1, len(text)):
            wire.send(text[:cut])
            wire.send(text[cut:])
            self.assertEqual(json.loads(wire.answer().body)["n"], 7)
            self.assertEqual(json.loads(wire.answer().body), {"message": "Hello, World!"})

    def test_a_chunked_body_ends_where_it_says(self):
        wire = self.wire()
        wire.send(f"GET /json HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n"
                  "5\r\nhello\r\n6;name=value\r\n world\r\n0\r\nX-Trailer: yes\r\n\r\n"
                  f"GET /plaintext HTTP/1.1\r\n{HOST}\r\n")
        self.assertEqual(json.loads(wire.answer().body), {"message": "Hello, World!"})
        self.assertEqual(wire.answer().body, b"Hello, World!")

    def test_a_body_is_asked_for_with_100_continue(self):
        wire = self.wire()
        wire.send(f"GET /plaintext HTTP/1.1\r\n{HOST}Content-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        self.assertEqual(wire.answer().status, 100)
        wire.send("body")
        self.assertEqual(wire.answer().status, 200)

    def test_head_sends_no_body(self):
        wire = self.wire()
        wire.send(f"HEAD /plaintext HTTP/1.1\r\n{HOST}\r\nGET /plaintext HTTP/1.1\r\n{HOST}\r\n")
        a = wire.answer(to_head=True)
        self.assertEqual((a.status, a["content-length"]), (200, "13"))
        self.assertEqual(wire.answer().body, b"Hello, World!")

    def test_a_half_closed_client_gets_its_answer(self):
        wire = self.wire()
        wire.send(f"GET /sleep?ms=50 HTTP/1.1\r\n{HOST}\r\n")
        wire.socket.shutdown(support.socket.SHUT_WR)
        self.assertEqual(wire.answer().body, b"slept 50 ms\n")
        self.assertEqual(wire.rest(), b"")

    def test_many_connections_are_served_at_once(self):
        wires = [self.wire() for _ in range(200)]
        for wire in wires:
            wire.send(f"GET /sleep?ms=100 HTTP/1.1\r\n{HOST}\r\n")
        for wire in wires:
            self.assertEqual(wire.answer().status, 200)


class Refusals(support.ServedTest):
    # Behind each refused request stands a second one: whoever answers it can be made to smuggle.
    NEXT = f"GET /plaintext HTTP/1.1\r\n{HOST}\r\n"

    def refused(self, text, status):
        wire = self.wire()
        wire.send(text)
        wire.send(self.NEXT)
        a = wire.answer()
        self.assertEqual(a.status, status, text[:200])
        self.assertEqual(a["connection"], "close", text[:200])
        self.assertEqual(wire.rest(), b"", text[:200])

    def test_a_missing_host_is_400(self):
        self.refused("GET / HTTP/1.1\r\n\r\n", 400)
        self.refused("GET http://here/ HTTP/1.1\r\n\r\n", 400)

    def test_a_repeated_host_is_400(self):
        self.refused("GET / HTTP/1.1\r\nHost: here\r\nHost: here\r\n\r\n", 400)
        self.refused("GET / HTTP/1.1\r\nHost: here\r\nX: y\r\nhOsT: there\r\n\r\n", 400)

    def test_both_content_length_and_transfer_encoding_are_400(self):
        length, coding = "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"
        for fields in length + coding, coding + length:
            self.refused(f"GET / HTTP/1.1\r\n{HOST}{fields}\r\n0\r\n\r\n", 400)

    def test_http_0_9_is_400(self):
        for text in "GET /\r\n", "GET /\r\n\r\n", "GET / \r\n\r\n", "GET / HTTP/0.9\r\n\r\n":
            wire = self.wire()
            wire.send(text)
            self.assertIn(wire.answer().status, (400, 505), text)
            self.assertEqual(wire.rest(), b"")

    def test_a_folded_field_is_400(self):
        for fold in " folded", "\tfolded":
            self.refused(f"GET / HTTP/1.1\r\n{HOST}X-Field: one\r\n{fold}\r\n\r\n", 400)
        self.refused("GET / HTTP/1.1\r\n Host: here\r\n\r\n", 400)

    def test_differing_lengths_are_400(self):
        self.refused(f"GET / HTTP/1.1\r\n{HOST}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400)
        self.refused(f"GET / HTTP/1.1\r\n{HOST}Content-Length: 1, 2\r\n\r\nab", 400)

    def test_a_length_that_is_no_number_is_400(self):
        for length in "-1", "+1", "0x1", "1a", "", "1 1", "99999999999999999999999":
            self.refused(f"GET / HTTP/1.1\r\n{HOST}Content-Length: {length}\r\n\r\n", 400)

    def test_bad_codings_are_400_or_501(self):
        for coding in "gzip", "chunked, gzip", "chunked, chunked", "xchunked", "identity":
            wire = self.wire()
            wire.send(f"GET / HTTP/1.1\r\n{HOST}Transfer-Encoding: {coding}\r\n\r\n0\r\n\r\n" + self.NEXT)
            self.assertIn(wire.answer().status, (400, 501), coding)
            self.assertEqual(wire.rest(), b"")

    def test_a_bad_chunk_is_400(self):
        for chunk in "x\r\n", "-1\r\n", "5\r\nhelloX", "fffffffffffffffff\r\n", "0x5\r\nhello\r\n", " 5\r\nhello\r\n":
            self.refused(f"GET / HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n{chunk}", 400)

    def test_bad_bytes_in_fields_are_400(self):
        for field in "X: a\0b", "X : a", "X\0: a", "X Y: a", ": a", "X: a\rb", "no colon":
            self.refused(f"GET / HTTP/1.1\r\n{HOST}{field}\r\n\r\n", 400)

    def test_a_bare_line_feed_is_400(self):
        self.refused("GET / HTTP/1.1\nHost: here\n\n", 400)
        self.refused("GET / HTTP/1.1\r\nHost: here\nX: y\r\n\r\n", 400)

    def test_garbage_is_400(self):
        for text in "\x16\x03\x01\x02\x00\x01\x00\x01\xfc", "hello\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n", "\0" * 50:
            self.refused(text, 400)

    def test_other_versions_are_505(self):
        for version in "HTTP/2.0", "HTTP/1.2", "HTTP/3.1":
            wire = self.wire()
            wire.send(f"GET / {version}\r\n{HOST}\r\n")
            self.assertIn(wire.answer().status, (400, 505), version)
        wire = self.wire()
        wire.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        self.assertIn(wire.answer().status, (400, 505))

    def test_a_body_that_is_too_large_is_413(self):
        self.refused(f"POST /plaintext HTTP/1.1\r\n{HOST}Content-Length: 1048577\r\n\r\n", 413)

    def test_a_chunked_body_that_becomes_too_large_is_413(self):
        wire = self.wire()
        wire.send(f"POST /plaintext HTTP/1.1\r\n{HOST}Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(17):
            wire.send("10000\r\n" + "x" * 65536 + "\r\n")
        self.assertEqual(wire.answer().status, 413)
        self.assertEqual(wire.rest(), b"")

    def test_a_body_of_the_greatest_size_is_read(self):
        wire = self.wire()
        wire.send(f"GET /plaintext HTTP/1.1\r\n{HOST}Content-Length: 1048576\r\n\r\n" + "x" * 1048576)
        self.assertEqual(wire.answer().status, 200)
        self.assertEqual(wire.get("/plaintext").status, 200)

    def test_fields_that_are_too_many_or_too_large_are_431(self):
        many = "".join(f"X{i}: y\r\n" for i in range(101))
        self.refused(f"GET / HTTP/1.1\r\n{HOST}X: {'x' * 66000}\r\n\r\n", 431)
        self.refused(f"GET / HTTP/1.1\r\n{HOST}{many}\r\n", 431)

    def test_fields_without_end_are_431(self):
        wire = self.wire()
        wire.send(f"GET / HTTP/1.1\r\n{HOST}X: ")
        for _ in range(20):
            wire.send("x" * 4096)
        self.assertEqual(wire.answer().status, 431)

    def test_a_target_that_is_too_long_is_414(self):
        self.refused(f"GET /{'x' * 9000} HTTP/1.1\r\n{HOST}\r\n", 414)

    def test_a_refused_client_harms_no_other(self):
        other = self.wire()
        self.assertEqual(other.get("/plaintext").status, 200)
        self.refused("GET / HTTP/1.1\r\n\r\n", 400)
        self.assertEqual(other.get("/plaintext").status, 200)


class Times(support.ServedTest):
    options = ("--header-timeout", "0.4")

    def test_a_head_that_does_not_end_is_408(self):
        for text in "G", "GET / HTTP/1.1\r\n", f"GET / HTTP/1.1\r\n{HOST}X: y\r\n":
            wire = self.wire()
            began = time.monotonic()
            wire.send(text)
            a = wire.answer()
            self.assertEqual((a.status, a["connection"]), (408, "close"))
            self.assertGreaterEqual(time.monotonic() - began, 0.4)
            self.assertEqual(wire.rest(), b"")

    def test_a_head_that_trickles_is_408(self):
        wire = self.wire()
        wire.socket.settimeout(0.05)  # paces the trickle
        wire.send(f"GET / HTTP/1.1\r\n{HOST}X: ")
        began = time.monotonic()
        answer = b""
        while not answer and time.monotonic() - began < support.PATIENCE:
            wire.send("x")
            try:
                answer = wire.socket.recv(65536)
            except TimeoutError:
                pass
        self.assertTrue(answer.startswith(b"HTTP/1.1 408 "), answer)

    def test_the_time_counts_anew_for_each_request(self):
        wire = self.wire()
        for _ in range(3):
            self.assertEqual(wire.get("/sleep?ms=300").status, 200)

    def test_a_slow_handler_is_not_a_slow_head(self):
        self.assertEqual(self.wire().get("/sleep?ms=900").status, 200)

    def test_an_idle_connection_is_not_a_slow_head(self):
        idle, busy = self.wire(), self.wire()
        self.assertEqual(idle.get("/plaintext").status, 200)
        self.assertEqual(busy.get("/sleep?ms=900").status, 200)
        self.assertEqual(idle.get("/plaintext").status, 200)


if __name__ == "__main__":
    support.main()
