# SPDX-License-Identifier: MIT
"""nginx as a peer, and as the server that clients ask: what it serves, and how it is started."""
import pathlib

CONFIG = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  keepalive_timeout 3600;
  sendfile on;
  tcp_nopush on;
  open_file_cache max=100;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    {listen}
    location = /plaintext {{ default_type text/plain; return 200 "Hello, World!"; }}
    location = /json {{
      default_type application/json;
      return 200 '{{"message":"Hello, World!"}}';
    }}
    location = /upload {{ default_type text/plain; return 200 "$content_length"; }}
    location /files/ {{ default_type text/plain; alias {folder}/files/; }}
{routes}
  }}
}}
"""

TLS = """listen 127.0.0.1:{port} ssl;
    ssl_certificate {folder}/certificate.pem;
    ssl_certificate_key {folder}/key.pem;
    ssl_protocols TLSv1.3;
    ssl_session_tickets on;"""

# By prefixes, which nginx finds by a tree: it would try regular expressions one after the other.
ROUTE = """    location /api/v1/r{n}/ {{
      location ~ ^/api/v1/r{n}/users/([^/]+)/posts/([0-9]+)$ {{
        default_type text/plain;
        return 200 "$1 $2";
      }}
    }}"""

FILES = (64, 1024, 65536)  # bytes; a file's name is its size


def write_files(folder):
    """What /files/ serves."""
    files = pathlib.Path(folder) / "files"
    files.mkdir(exist_ok=True)
    for size in FILES:
        (files / str(size)).write_bytes(b"x" * size)


def command_for(program, port, folder, tls=False):
    folder = pathlib.Path(folder)
    listen = TLS if tls else "listen 127.0.0.1:{port};"
    config = folder / f"nginx-{port}.conf"
    config.write_text(CONFIG.format(
        folder=folder, listen=listen.format(folder=folder, port=port),
        routes="\n".join(ROUTE.format(n=n) for n in range(100))))
    return [program, "-p", str(folder), "-c", str(config), "-e", "stderr"]
