#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""WebSocket with Python's websockets: its client against a heddle server, a heddle client against its server."""
import asyncio
import subprocess
import threading
import unittest

import support
import websockets


class Peer(unittest.TestCase):
    def start(self, *words):
        process = subprocess.Popen([support.settings.client, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   env=support.environment(), preexec_fn=support.die_with_parent)
        watchdog = threading.Timer(support.PATIENCE, process.kill)
        watchdog.start()
        self.addCleanup(watchdog.cancel)
        self.addCleanup(process.stdout.close)
        return process

    def test_a_heddle_server_echoes_to_python(self):
        process = self.start("serve", support.settings.reactor)
        port = int(process.stdout.readline())

        async def talk(compression):
            async with websockets.connect(f"ws://127.0.0.1:{port}/echo", compression=compression, max_size=None,
                                          subprotocols=["none", "echo"]) as ws:
                self.assertEqual(ws.subprotocol, "echo")
                for size in 0, 1, 125, 126, 65535, 65536, 1 << 20:
                    for message in "x" * size, b"\xff" * size:
                        await ws.send(message)
                        self.assertEqual(await ws.recv(), message)
                await ws.send(["in ", "three ", "fragments"])
                self.assertEqual(await ws.recv(), "in three fragments")
                pong = await ws.ping()
                await pong
                await ws.close(code=3999, reason="enough")
                self.assertEqual(ws.close_code, 3999)

        async def stay():
            async with websockets.connect(f"ws://127.0.0.1:{port}/echo") as ws:
                await ws.send("open")
                await ws.recv()
                process.stdin.close()  # the server stops
                with self.assertRaises(websockets.ConnectionClosedOK):
                    await ws.recv()
                self.assertEqual(ws.close_code, 1001)

        async def refused():
            with self.assertRaises(websockets.InvalidStatusCode) as caught:
                await websockets.connect(f"ws://127.0.0.1:{port}/none")
            self.assertEqual(caught.exception.status_code, 404)

        for compression in "deflate", None:
            asyncio.run(talk(compression))
        asyncio.run(refused())
        asyncio.run(stay())
        self.assertEqual(process.wait(support.PATIENCE), 0)

    def test_a_heddle_client_talks_to_python(self):
        async def echo(ws):
            try:
                async for message in ws:
                    await ws.send(message)
            except websockets.ConnectionClosedError:
                pass  # the client closes with a code of its own

        async def serve():
            async with websockets.serve(echo, "127.0.0.1", 0, subprotocols=["echo"]) as server:
                port = server.sockets[0].getsockname()[1]
                process = self.start("call", support.settings.reactor, f"ws://127.0.0.1:{port}/")
                process.stdin.close()
                said = await asyncio.get_running_loop().run_in_executor(None, process.stdout.read)
                self.assertEqual(said.decode().strip(), "fine")
                self.assertEqual(process.wait(), 0)

        asyncio.run(serve())


if __name__ == "__main__":
    support.main()
