#!/usr/bin/python3
# SPDX-License-Identifier: MIT
import asyncio
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "common" / "python"))

from program import read_server_settings, run  # noqa: E402

import websockets  # noqa: E402


async def echo(peer, _path=None):
    async for message in peer:
        await peer.send(message)


async def main(with_):
    async with websockets.serve(echo, "127.0.0.1", with_.port, compression=None):
        await asyncio.Future()


if __name__ == "__main__":
    settings = read_server_settings()
    run(settings, main(settings))
