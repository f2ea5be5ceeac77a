#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""A heddle client against aiohttp's server and through tinyproxy; haproxy and nginx in front of a heddle server."""
import asyncio
import json
import pathlib
import socket
import ssl
import subprocess
import tempfile
import threading
import unittest

from aiohttp import web

import http_peers
import support
from http_peers import PeerTest, Relay, free_ports

TINYPROXY = """
Port {port}
Listen 127.0.0.1
Timeout 60
MaxClients 50
LogLevel Error
DisableViaHeader Yes
ConnectPort {tls_port}
{credentials}
"""

HAPROXY = """
global
  maxconn 200
  nbthread 1
defaults
  mode http
  timeout connect 20s
  timeout client 60s
  timeout server 60s
  option http-keep-alive
frontend plain
  bind 127.0.0.1:{plain}
  option forwardfor
  default_backend heddle
frontend secure
  bind 127.0.0.1:{secure} ssl crt {pem}
  option forwardfor
  http-request set-header X-Forwarded-Proto https
  default_backend heddle_tls
backend heddle
  http-reuse always
  server one 127.0.0.1:{port}
backend heddle_tls
  http-reuse always
  server one 127.0.0.1:{tls_port} ssl verify required ca-file {ca} sni str(localhost)
listen version_2
  mode tcp
  bind 127.0.0.1:{version_2}
  server one 127.0.0.1:{proxied_port} send-proxy-v2
listen version_1
  mode tcp
  bind 127.0.0.1:{version_1}
  server one 127.0.0.1:{proxied_port} send-proxy
"""

NGINX = """
daemon off;
master_process off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log stderr;
events {{ worker_connections 128; }}
http {{
  access_log off;
  client_max_body_size 64m;
  client_body_temp_path {dir}/body;
  proxy_temp_path {dir}/proxy;
  fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi;
  scgi_temp_path {dir}/scgi;
  upstream plain {{ server 127.0.0.1:{port}; keepalive 8; }}
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header Host $http_host;
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_set_header X-Forwarded-Proto $scheme;
  server {{ listen 127.0.0.1:{plain}; location / {{ proxy_pass http://plain; }} }}
  server {{ listen 127.0.0.1:{direct}; location / {{
    proxy_pass http://plain; proxy_buffering off; proxy_request_buffering off; }} }}
}}
"""


class Proxies(PeerTest):
    def test_aiohttp_answers(self):
        for secure in False, True:
            started, stop, found = threading.Event(), None, {}

            async def serve():
                runner = web.AppRunner(http_peers.application())
                await runner.setup()
                context = None
                if secure:
                    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                    context.load_cert_chain(self.authority.certificate, self.authority.key)
                site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
                await site.start()
                found["port"] = site._server.sockets[0].getsockname()[1]
                found["loop"], found["stop"] = asyncio.get_running_loop(), asyncio.Event()
                started.set()
                await found["stop"].wait()
                await runner.cleanup()

            thread = threading.Thread(target=asyncio.run, args=(serve(),))
            thread.start()
            started.wait()
            try:
                self.call(f"{'https' if secure else 'http'}://localhost:{found['port']}/")
            finally:
                found["loop"].call_soon_threadsafe(found["stop"].set)
                thread.join()

    def tinyproxy(self, credentials=""):
        port, = free_ports(1)
        config = pathlib.Path(self.dir) / f"tinyproxy-{port}.conf"
        config.write_text(TINYPROXY.format(port=port, tls_port=self.tls_port, credentials=credentials))
        self.daemon(["tinyproxy", "-d", "-c", str(config)], port)
        return port

    def test_the_client_asks_through_tinyproxy(self):
        port = self.tinyproxy()
        for base in self.plain, self.secure:  # the whole URL in the request line; CONNECT
            self.call(f"{base}/", f"http://127.0.0.1:{port}")

    def test_the_client_shows_its_credentials_to_tinyproxy(self):
        port = self.tinyproxy("BasicAuth user secret")
        for base in self.plain, self.secure:
            self.call(f"{base}/", f"http://user:secret@127.0.0.1:{port}")

    def haproxy(self, port=None):
        ports = dict(zip(("plain", "secure", "version_2", "version_1"), free_ports(4)))
        pem = pathlib.Path(self.dir) / "haproxy.pem"
        pem.write_text(pathlib.Path(self.authority.certificate).read_text() + pathlib.Path(self.authority.key).read_text())
        config = pathlib.Path(self.dir) / "haproxy.cfg"
        config.write_text(HAPROXY.format(port=port or self.port, tls_port=self.tls_port, proxied_port=self.proxied_port, pem=pem,
                                         ca=self.authority.ca, **ports))
        self.daemon(["haproxy", "-db", "-f", str(config)], ports["plain"])
        return ports

    def test_haproxy_in_front_serves_a_client(self):
        ports = self.haproxy()
        self.call(f"http://127.0.0.1:{ports['plain']}/")
        self.call(f"https://localhost:{ports['secure']}/")
        for name, scheme in ("plain", "http"), ("secure", "https"):
            done = subprocess.run(["curl", "-q", "-sS", "--noproxy", "*", "--max-time", str(support.PATIENCE), "--cacert",
                                   self.authority.ca, f"{scheme}://localhost:{ports[name]}/who"], capture_output=True, check=True)
            seen = json.loads(done.stdout)
            self.assertEqual((seen["remote"], seen["scheme"], seen["host"]), ("127.0.0.1", scheme, f"localhost:{ports[name]}"))

    def test_haproxy_tells_by_the_proxy_protocol_who_asks(self):
        ports = self.haproxy()
        for version in "version_1", "version_2":
            with socket.create_connection(("127.0.0.1", ports[version]), support.PATIENCE) as s:
                s.sendall(b"who am I?\n")
                host, port = s.getsockname()
                with s.makefile("r") as f:
                    self.assertEqual(f.readline(), f"{host}:{port}\n")

    def nginx(self, to):
        """The ports of a server that buffers bodies, and of one that does not."""
        directory = pathlib.Path(tempfile.mkdtemp(prefix="nginx-", dir=self.dir))
        plain, direct = free_ports(2)
        config = directory / "nginx.conf"
        config.write_text(NGINX.format(dir=directory, port=to, plain=plain, direct=direct))
        self.daemon(["nginx", "-p", str(directory), "-c", str(config), "-e", "stderr"], plain)
        return plain, direct

    def test_nginx_in_front_serves_a_client(self):
        for port in self.nginx(self.port):
            self.call(f"http://localhost:{port}/")

    def test_connections_of_those_in_front_are_kept(self):
        relays = [Relay(self.port) for _ in range(2)]
        for relay in relays:
            self.addCleanup(relay.close)
        fronts = self.haproxy(relays[0].port)["plain"], self.nginx(relays[1].port)[0]
        for front, relay in zip(fronts, relays):
            done = subprocess.run(["curl", "-q", "-sS", "--noproxy", "*", "--max-time", str(support.PATIENCE), "-w", " ",
                                   *[f"http://127.0.0.1:{front}/hello"] * 20], capture_output=True)
            self.assertEqual(done.stdout, b"hello " * 20, done)
            # One would do. But one in front may ask again before it has put its connection back.
            self.assertLess(relay.count, 10)
            self.assertGreater(relay.count, 0)


if __name__ == "__main__":
    support.main()
