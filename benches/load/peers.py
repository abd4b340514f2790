"""The servers of load runs, and wrk. A server has one core, what drives it the other."""

import hashlib
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ROOT / "target/test-tools/bin"
SECRET = "a secret of the load runs that is long enough"
APP, PROJECT, ORG = "load", "web", "acme"
UID = "%s.%s.%s" % (APP, PROJECT, ORG)
HOST = "www.test"
EDGE = "edge.test"
BUCKET = "load"
SERVER_CORE, CLIENT_CORE = "0", "1"
MIB = 1 << 20
# This S3 server looks at the form of a signature only.
SIGNATURE = "AWS4-HMAC-SHA256 Credential=load/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
PACKAGES = {"wrk": "wrk", "taskset": "util-linux", "nginx": "nginx-light", "redis-server": "redis-server"}

running = []


class Failed(Exception):
    """A case cannot be measured; the others can."""


def need(*tools):
    missing = [PACKAGES[tool] for tool in tools if not shutil.which(tool)]
    if missing:
        sys.exit("missing: apt-get install %s" % " ".join(missing))


def find_tool(name):
    """What the tests take too: the one that is named, that scripts/setup-tests installed, or of PATH."""
    named = os.environ.get("FAVONIUS_TEST_MOTO") if name == "moto_server" else None
    found = named or shutil.which(TOOLS / name) or shutil.which(name)
    if not found:
        sys.exit("%s is not installed: run scripts/setup-tests" % name)
    return found


def raise_file_limit(wanted):
    """For this process and those it starts; gives what there is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in [(max(wanted, soft), max(wanted, hard)), (hard, hard)]:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, limit)
            break
        except (ValueError, OSError):
            continue
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def end_all(but=()):
    """Ends each process that was started, and those that it started itself."""
    for process in list(running):
        if process not in but:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            running.remove(process)


class Connection:
    """Requests one after the other, over one connection while the server keeps it."""

    def __init__(self, port, timeout=60):
        self.address, self.timeout, self.socket = ("127.0.0.1", port), timeout, None

    def ask(self, path, method="GET", host=HOST, headers=(), body=None):
        """Status, headers by their names in lower case, body."""
        head = "%s %s HTTP/1.1\r\nHost: %s\r\n" % (method, path, host)
        head += "".join("%s: %s\r\n" % header for header in dict(headers).items())
        if body is not None:
            head += "Content-Length: %d\r\n" % len(body)
        if not self.socket:
            self.socket = socket.create_connection(self.address, self.timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(head.encode() + b"\r\n" + (body or b""))
        said = bytearray()
        while b"\r\n\r\n" not in said:
            said += self.receive()
        head, _, content = bytes(said).partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        status = int(status.split()[1])
        names = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = 0 if status == 304 or method == "HEAD" else int(names.get("content-length", 0))
        parts, left = [content], length - len(content)
        while left > 0:
            parts.append(self.receive())
            left -= len(parts[-1])
        if names.get("connection", "").lower() == "close" or head.startswith(b"HTTP/1.0"):
            self.close()
        return status, names, b"".join(parts)

    def receive(self):
        part = self.socket.recv(1 << 18)
        if not part:
            raise ConnectionResetError("the server closed the connection")
        return part

    def close(self):
        if self.socket:
            self.socket.close()
            self.socket = None


def ask(port, path, **how):
    connection = Connection(port)
    try:
        return connection.ask(path, **how)
    finally:
        connection.close()


class Server:
    """A process that listens on a port."""

    name = "server"
    process = None

    def spawn(self, command, core, environment=(), log=None):
        self.log = log
        output = open(log, "ab") if log else subprocess.DEVNULL
        on_death = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        self.process = subprocess.Popen(
            ["taskset", "-c", core, *on_death, *map(str, command)],
            env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **dict(environment)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        if log:
            output.close()
        running.append(self.process)

    def wait_for(self, attempt, seconds=60, pause=0.01):
        """Until the attempt gives something true; what it gave."""
        end = time.monotonic() + seconds
        while self.process.poll() is None and time.monotonic() < end:
            try:
                outcome = attempt()
                if outcome:
                    return outcome
            except OSError:
                pass
            time.sleep(pause)
        said = pathlib.Path(self.log).read_text(errors="replace")[-500:] if self.log else ""
        raise Failed("%s did not start\n%s" % (self.name, said))

    def listens(self):
        socket.create_connection(("127.0.0.1", self.port), 5).close()
        return True

    def pids(self):
        return [self.process.pid]

    def cpu_seconds(self):
        ticks = 0
        for pid in self.pids():
            stat = pathlib.Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()
            ticks += int(stat[11]) + int(stat[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_mib(self, which="VmHWM"):
        total = 0
        for pid in self.pids():
            status = pathlib.Path("/proc/%d/status" % pid).read_text()
            total += next(int(line.split()[1]) for line in status.splitlines() if line.startswith(which + ":"))
        return total / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        running.remove(self.process)


class Nginx(Server):
    name = "nginx"

    def __init__(self, directory, root):
        self.port = free_port()
        prefix = pathlib.Path(directory) / ("nginx-%d" % self.port)
        prefix.mkdir()
        said = subprocess.run(["nginx", "-V"], capture_output=True, text=True).stderr
        self.has_static = "http_gzip_static_module" in said
        # Of each file that is cached it keeps a descriptor.
        files = raise_file_limit(400_000)
        self.cached = min(300_000, files - 6_000)
        kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        settings = {
            "prefix": prefix,
            "user": "user root;" if os.geteuid() == 0 else "",
            "temporary": " ".join("%s_temp_path %s/%s;" % (kind, prefix, kind) for kind in kinds),
            "files": files,
            "cached": self.cached,
            "port": self.port,
            "root": root,
            "gzip": "gzip_static on;" if self.has_static else "gzip on; gzip_types text/javascript;",
        }
        configuration = prefix / "nginx.conf"
        configuration.write_text(NGINX % settings)
        self.spawn(["nginx", "-p", prefix, "-c", configuration], SERVER_CORE, log=prefix / "log")
        self.wait_for(self.listens)

    def pids(self):
        """Of the process that serves; the first one only looks after it."""
        first = self.process.pid
        return list(map(int, pathlib.Path("/proc/%d/task/%d/children" % (first, first)).read_text().split()))


NGINX = """
%(user)s daemon off; worker_processes 1; worker_rlimit_nofile %(files)d;
pid %(prefix)s/pid; error_log %(prefix)s/error.log crit;
events { worker_connections 4096; }
http {
  %(temporary)s
  access_log off; sendfile on; tcp_nopush on; etag on; keepalive_requests 10000000;
  open_file_cache max=%(cached)d inactive=60m; open_file_cache_valid 60m;
  %(gzip)s gzip_vary on;
  types { text/html html; text/css css; text/javascript js; image/svg+xml svg; } default_type application/octet-stream;
  server { listen 127.0.0.1:%(port)d backlog=4096; server_name _; root %(root)s; index index.html; log_not_found off; }
}
"""


class BareHyper(Server):
    name = "bare hyper"

    def __init__(self, programs, root, single, log):
        self.port = free_port()
        command = [programs / "bare-hyper", "--root", root, "--port", self.port]
        self.spawn(command + (["--single"] if single else []), SERVER_CORE, log=log)
        self.wait_for(self.listens)


class Agent(Server):
    """A collector of telemetry that takes everything and keeps nothing."""

    name = "the OpenTelemetry agent"

    def __init__(self, log):
        self.port = free_port()
        command = [find_tool("rotel"), "start", "--exporter", "blackhole"]
        command += ["--otlp-http-endpoint", "127.0.0.1:%d" % self.port]
        command += ["--otlp-grpc-endpoint", "127.0.0.1:%d" % free_port()]
        self.spawn(command, CLIENT_CORE, log=log)
        self.wait_for(self.listens)

    def settings(self):
        endpoint = "http://127.0.0.1:%d" % self.port
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_TRACES_SAMPLER": "parentbased_always_off"}


class Redis(Server):
    name = "redis-server"

    def __init__(self, directory):
        self.port = free_port()
        command = ["redis-server", "--port", self.port, "--bind", "127.0.0.1", "--save", "", "--dir", directory]
        self.spawn(command, SERVER_CORE)
        self.wait_for(self.listens)


class S3(Server):
    """One process with a bucket in memory. Its log has a line for each request."""

    name = "moto_server"

    def __init__(self, directory):
        self.port = free_port()
        log = pathlib.Path(directory) / ("s3-%d.log" % self.port)
        self.spawn([find_tool("moto_server"), "-H", "127.0.0.1", "-p", self.port], CLIENT_CORE, log=log)
        self.wait_for(lambda: self.make_bucket() == 200, pause=0.2)

    def make_bucket(self):
        # Under another host it looks for a bucket of that name.
        return ask(self.port, "/" + BUCKET, method="PUT", host="127.0.0.1:%d" % self.port, body=b"")[0]

    def requests(self, method, part):
        """How many of a method name an object whose key holds this."""
        lines = pathlib.Path(self.log).read_text(errors="replace").splitlines()
        return sum('"%s /%s/' % (method, BUCKET) in line and part in line for line in lines)


class Backends:
    """S3 and Redis."""

    def __init__(self, directory):
        self.redis, self.s3 = Redis(directory), S3(directory)

    def settings(self):
        return {
            "ZE_WORKER_STORAGE": "s3-redis",
            "ZE_WORKER_S3_ENDPOINT": "http://127.0.0.1:%d" % self.s3.port,
            "ZE_WORKER_S3_BUCKET": BUCKET,
            "ZE_WORKER_S3_ACCESS_KEY_ID": "load",
            "ZE_WORKER_S3_SECRET_ACCESS_KEY": "load",
            "ZE_WORKER_REDIS_HOST": "127.0.0.1:%d" % self.redis.port,
        }


class Worker(Server):
    name = "worker"

    def __init__(self, programs, directory, settings):
        self.programs, self.settings = programs, dict(settings)
        self.directory = pathlib.Path(directory)
        self.data = self.directory / "data"

    def start(self, ready=True):
        self.port = free_port()
        environment = {
            "ZE_WORKER_STORAGE": "embedded",
            "ZE_WORKER_HOST": "127.0.0.1",
            "ZE_WORKER_PORT": str(self.port),
            "ZE_WORKER_JWT_SECRET": SECRET,
            "ZE_WORKER_SHUTDOWN_GRACE_MS": "0",
            "ZE_WORKER_CACHE_BYTES": str(1024 * MIB),
            **self.settings,
        }
        if environment["ZE_WORKER_STORAGE"] == "embedded":
            environment["ZE_WORKER_DATA_DIR"] = str(self.data)
        self.spawn([self.programs / "favonius-worker"], SERVER_CORE, environment, self.directory / "worker.log")
        if ready:
            self.wait_for(lambda: ask(self.port, "/readyz")[0] == 200)
        return self

    def token(self):
        """The header that lets one write."""
        command = [self.programs / "favonius", "token", "--app", APP, "--project", PROJECT, "--org", ORG]
        environment = {"PATH": os.environ["PATH"], "ZE_WORKER_JWT_SECRET": SECRET}
        return {"can_write_jwt": subprocess.check_output(command, env=environment, text=True).strip()}

    def deploy(self, files, deployments):
        """Uploads files (bytes by path), and publishes a deployment of them to each of the lists of hosts."""
        connection, token = Connection(self.port), self.token()

        def post(path, body):
            status, _, said = connection.ask(path, method="POST", host=EDGE, headers=token, body=body)
            if status != 200:
                raise Failed("POST %s: %d %s" % (path.split("&hash")[0], status, said[:300].decode()))

        assets = {}
        for path, content in files.items():
            digest = hashlib.sha256(content + path.encode()).hexdigest()
            post(upload_path(digest, path), content)
            assets[path] = {"path": path, "extname": pathlib.Path(path).suffix, "hash": digest, "size": len(content)}
        for number, hosts in enumerate(deployments):
            version = {"application_uid": UID, "snapshot_id": "load-%d.%s" % (number, UID)}
            snapshot = {"domain": "https://" + EDGE, "createdAt": 1767225600000, "assets": assets, **version}
            post("/upload?type=snapshot&skip_assets=true", json.dumps(snapshot).encode())
            post("/upload?type=envs", json.dumps({"app_version": version, "urls": hosts}).encode())
        connection.close()


def upload_path(digest, filename):
    return "/upload?" + urllib.parse.urlencode({"type": "file", "hash": digest, "filename": filename})


def drive(server, seconds, connections, path="/", host=HOST, headers=(), script=None, status=200):
    """Has wrk ask for `seconds`: requests a second, microseconds of the server's processor for each (without what the kernel does
    in interrupts), p99 in ms, the share of its core that wrk took, and the share of the server's core that somebody else took."""
    command = ["taskset", "-c", CLIENT_CORE, "wrk", "-t1", "-c%d" % connections, "-d%ds" % seconds, "--latency", "--timeout", "10s"]
    for name, value in {"Host": host, **dict(headers)}.items():
        command += ["-H", "%s: %s" % (name, value)]
    command += ["-s", str(script)] if script else []
    command.append("http://127.0.0.1:%d%s" % (server.port, path))
    before, own_before, core_before = server.cpu_seconds(), children_seconds(), core_seconds(SERVER_CORE)
    begun = time.monotonic()
    lines = subprocess.check_output(command, text=True).splitlines()
    took = time.monotonic() - begun
    cpu, own = server.cpu_seconds() - before, children_seconds() - own_before
    others = max(0, core_seconds(SERVER_CORE) - core_before - cpu)

    def figure(begin, word, pick=str):
        return next((pick(line.split()[word]) for line in lines if line.strip().startswith(begin)), None)

    total = next(int(line.split()[0]) for line in lines if " requests in " in line)
    wrong = figure("Non-2xx", -1, int) or 0
    if "Socket errors" in "".join(lines) or total == 0 or wrong != (total if status >= 400 else 0):
        told = [line.strip() for line in lines if "Socket errors" in line or "Non-2xx" in line]
        raise Failed("%s: %d requests; %s" % (server.name, total, "; ".join(told) or "no status %d" % status))
    return figure("Requests/sec", 1, float), cpu / total * 1e6, figure("99%", 1, milliseconds), own / took, others / took


def children_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def core_seconds(core):
    """What processes have had of a core."""
    lines = pathlib.Path("/proc/stat").read_text().splitlines()
    user, nice, system = next(line.split()[1:4] for line in lines if line.startswith("cpu%s " % core))
    return (int(user) + int(nice) + int(system)) / os.sysconf("SC_CLK_TCK")


def milliseconds(text):
    for unit, factor in [("us", 0.001), ("ms", 1), ("s", 1000), ("m", 60_000)]:
        if text.endswith(unit):
            return float(text[: -len(unit)]) * factor
    return float("nan")
