"""The cases of benches/load/serving in which the worker is by itself: when it is cold, while files are uploaded, and with clients
that hardly read."""

import concurrent.futures
import contextlib
import hashlib
import os
import random
import selectors
import socket
import statistics
import time

from peers import BUCKET, EDGE, HOST, MIB, SIGNATURE, Backends, Connection, Failed, Worker, ask, drive, raise_file_limit, upload_path

KIB = 1024
GET = "GET /%s HTTP/1.1\r\nHost: " + HOST + "\r\nAccept: */*\r\n\r\n"


@contextlib.contextmanager
def worker_of(run, *servers, **settings):
    """A worker on S3 and Redis, or else on embedded storage; it is started, and ended with those."""
    worker = Worker(run.programs, run.subdirectory(), {**run.telemetry, **settings})
    yield worker.start()
    for server in [worker, *servers]:
        server.stop()


@contextlib.contextmanager
def worker_on_s3(run, **settings):
    backends = Backends(run.subdirectory())
    with worker_of(run, backends.redis, backends.s3, **backends.settings(), **settings) as worker:
        yield worker, backends.s3


def milliseconds(values):
    return "%.2f ms" % (statistics.median(values) * 1000)


def cold(run):
    with worker_on_s3(run) as (worker, _):
        files = {"f%d.bin" % n: os.urandom(8 * KIB) for n in range(201)}
        worker.deploy(files, [[HOST]])
        since_start, first = [], []
        for _ in range(20):
            worker.stop()
            begun = time.monotonic()
            worker.start(ready=False)
            worker.wait_for(worker.listens, pause=0.0005)

            def found():
                nonlocal asked
                asked = time.monotonic()
                return ask(worker.port, "/f0.bin")[0] == 200

            asked = 0.0
            worker.wait_for(found, pause=0.0005)
            answered = time.monotonic()
            first.append(answered - asked)
            since_start.append(answered - begun)
        run.say("cold: %s from exec to the first file, %s of them for the request; median of 20 starts" % (milliseconds(since_start), milliseconds(first)))

        connection, rounds = Connection(worker.port), []
        # The last start has been asked for f0.bin, and for nothing else.
        asked_for = list(files)[1:]
        for _ in range(2):
            times = []
            for path in asked_for:
                begun = time.monotonic()
                status, _, body = connection.ask("/" + path)
                times.append(time.monotonic() - begun)
                if status != 200 or body != files[path]:
                    raise Failed("/%s: %d, %d bytes" % (path, status, len(body)))
            rounds.append(times)
        connection.close()
        run.say("cold: %s for a file of 8 KiB the first time, %s the second; median of %d files" % (*map(milliseconds, rounds), len(asked_for)))


def cold_burst(run, clients=500):
    with worker_on_s3(run) as (worker, s3):
        content = os.urandom(300 * KIB)
        # The host is known when the burst comes, the file is not.
        worker.deploy({"f.bin": content, "other.bin": b"other"}, [[HOST]])
        worker.stop()
        worker.start()
        if ask(worker.port, "/other.bin")[0] != 200:
            raise Failed("no file before the burst")
        digest = hashlib.sha256(content + b"f.bin").hexdigest()
        before = [s3.requests(method, digest) for method in ("GET", "HEAD")]
        connections = [socket.create_connection(("127.0.0.1", worker.port), 60) for _ in range(clients)]
        for connection in connections:
            connection.sendall((GET % "f.bin").encode())
        right = 0
        for connection in connections:
            said = bytearray()
            while b"\r\n\r\n" not in said or len(said) < said.index(b"\r\n\r\n") + 4 + len(content):
                part = connection.recv(MIB)
                if not part:
                    break
                said += part
            right += said.startswith(b"HTTP/1.1 200") and said.endswith(content)
            connection.close()
        time.sleep(0.5)  # S3 logs what it has answered
        gets, heads = (s3.requests(method, digest) - count for method, count in zip(("GET", "HEAD"), before))
    run.say("cold-burst: %d requests at once, %d right; %d GET (and %d HEAD) of the file at S3; must be 1" % (clients, right, gets, heads))
    if (right, gets) != (clients, 1):
        raise Failed("not one GET, or not all right")


class Uploader:
    """Uploads files of one size, each new, over some connections at once."""

    def __init__(self, port, connections, size, token=None):
        """To the worker with its token, else to S3."""
        self.port, self.connections, self.token = port, connections, token
        self.content = os.urandom(size)
        self.hash = hashlib.sha256(self.content)
        self.prefix, self.number = "%x" % random.getrandbits(64), 0
        self.selector = selectors.DefaultSelector()
        self.refused = {}

    def head(self):
        self.number += 1
        name = "%s/%d.bin" % (self.prefix, self.number)
        if self.token is None:
            head = "PUT /%s/%s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: %s\r\n" % (BUCKET, name, self.port, SIGNATURE)
        else:
            digest = self.hash.copy()
            digest.update(name.encode())
            head = "POST %s HTTP/1.1\r\nHost: %s\r\n" % (upload_path(digest.hexdigest(), name), EDGE)
            head += "".join("%s: %s\r\n" % header for header in self.token.items())
        head += "Content-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n" % len(self.content)
        return head.encode()

    def begin(self, connection=None):
        """The next file, over this connection or a new one."""
        if not connection:
            connection = socket.create_connection(("127.0.0.1", self.port), 60)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(connection, selectors.EVENT_READ)
        self.answers[connection] = bytearray()
        connection.sendall(self.head() + self.content)

    def run(self, seconds):
        """Files a second, and the share of the client's core that it took."""
        self.answers, self.ending, done = {}, False, 0
        begun, cpu = time.monotonic(), time.thread_time()
        for _ in range(self.connections):
            self.begin()
        while time.monotonic() < begun + seconds:
            for key, _ in self.selector.select(0.1):
                done += self.receive(key.fileobj)
        took, cpu = time.monotonic() - begun, time.thread_time() - cpu
        # What is under way does not count, and must not be in the way of what is measured next.
        self.ending, end = True, time.monotonic() + 60
        while self.answers and time.monotonic() < end:
            for key, _ in self.selector.select(0.1):
                self.receive(key.fileobj)
        for connection in list(self.answers):
            self.forget(connection)
        return done / took, cpu / took

    def receive(self, connection):
        """Whether a file has been stored."""
        try:
            part = connection.recv(1 << 16)
        except ConnectionResetError:
            part = b""
        answer = self.answers[connection]
        answer += part
        end = answer.find(b"\r\n\r\n")
        if part and end < 0:
            return False
        head = bytes(answer[:end]).lower()
        _, named, length = head.partition(b"content-length:")
        if part and len(answer) < end + 4 + int(length.split()[0] if named else 0):
            return False
        closes = not part or head.startswith(b"http/1.0") or b"connection: close" in head
        if closes or self.ending:
            self.forget(connection)
        if not self.ending:
            self.begin(None if closes else connection)
        status = answer[9:12].decode() or "closed"
        if status != "200":
            self.refused[status] = self.refused.get(status, 0) + 1
        return status == "200"

    def forget(self, connection):
        del self.answers[connection]
        self.selector.unregister(connection)
        connection.close()

    def complain(self):
        if self.refused:
            raise Failed("uploads that were refused, by status: %s" % self.refused)


def uploads(run):
    rounds = []
    with worker_of(run) as worker:
        worker.deploy({"f1k.bin": os.urandom(KIB)}, [[HOST]])
        uploader = Uploader(worker.port, 100, 16 * KIB, worker.token())
        for number in range(run.options.rounds + 1):
            seconds = run.options.seconds if number else 1
            alone = drive(worker, seconds, run.options.connections, "/f1k.bin")
            with concurrent.futures.ThreadPoolExecutor(1) as thread:
                # It has all its connections when wrk begins, and is at it until wrk ends.
                uploading = thread.submit(uploader.run, seconds + 2)
                time.sleep(0.5)
                beside = drive(worker, seconds, run.options.connections, "/f1k.bin")
                measured = uploading.result()
            if number:
                run.disturbed = max(run.disturbed, alone[4])
                rounds.append((alone[0], beside[0], beside[0] / alone[0], beside[2], beside[3], *measured))
    alone, beside, ratio, p99, wrk, rate, share = map(statistics.median, zip(*rounds))
    run.say("uploads: 1k at %.0f req/s alone, %.0f beside 100 uploads at once, ratio %.3f; p99 beside them %.2f ms" % (alone, beside, ratio, p99))
    run.say("uploads: %.0f files of 16 KiB a second; of the client's core wrk took %.0f %%, uploading %.0f %%" % (rate, wrk * 100, share * 100))
    uploader.complain()


def upload_rate(run):
    rounds = []
    with worker_on_s3(run) as (worker, s3):
        through = Uploader(worker.port, 16, 16 * KIB, worker.token())
        direct = Uploader(s3.port, 16, 16 * KIB)
        for number in range(run.options.rounds + 1):
            rates = {}
            for uploader in [through, direct][:: 1 if number % 2 else -1]:
                rates[uploader], _ = uploader.run(run.options.seconds if number else 1)
            if number:
                rounds.append((rates[through], rates[direct]))
    ratio = statistics.median(mine / theirs for mine, theirs in rounds)
    run.say("upload-rate: %.0f files of 16 KiB a second through the worker, %.0f to S3 alone, ratio %.3f" % (*map(statistics.median, zip(*rounds)), ratio))
    through.complain()
    direct.complain()


def slow_readers(run, name="slow-readers", wanted=10_000, on_s3=False):
    cache = 256 * MIB
    limit = raise_file_limit(wanted + 1000)
    count = min(wanted, limit - 1000)
    if count < wanted:
        run.say("%s: %d readers, not %d: the limit of files is %d" % (name, count, wanted, limit))
    with contextlib.ExitStack() as stack:
        settings = {"ZE_WORKER_CACHE_BYTES": str(cache)}
        worker = stack.enter_context(worker_on_s3(run, **settings))[0] if on_s3 else stack.enter_context(worker_of(run, **settings))
        worker.deploy({"large.bin": os.urandom(MIB) * 100, "f1k.bin": os.urandom(KIB)}, [[HOST]])
        worker.stop()
        worker.start()
        ask(worker.port, "/f1k.bin")
        before = worker.memory_mib("VmRSS")
        readers = read_slowly(worker, count, 20)
        closed = sum(not reader.open for reader in readers)
        peak, now = worker.memory_mib("VmHWM"), worker.memory_mib("VmRSS")
        for reader in readers:
            reader.socket.close()
    bound = cache / MIB + count * 64 / KIB
    run.say("%s: %d readers of 100 MiB, half of them at 1 KiB/s, the others not at all; %d of them were closed" % (name, count, closed))
    run.say("%s: memory %.0f MiB before, peak %.0f MiB, %.0f MiB after 20 s" % (name, before, peak, now))
    grown = peak - before
    bounded = "%.0f MiB (the cache and 64 KiB a connection)" % bound
    run.say("%s: peak less before %.0f MiB, %.1f KiB a connection; bound %s" % (name, grown, grown * KIB / count, bounded))
    if grown > bound:
        raise Failed("above the bound")


class Reader:
    def __init__(self, number, port):
        self.socket, self.open, self.begun = socket.socket(), True, False
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(60)
        # A source has some 28,000 ports.
        self.socket.bind(("127.0.0.%d" % (2 + number // 5000), 0))
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall((GET % "large.bin").encode())
        self.socket.setblocking(False)

    def read(self, most):
        try:
            part = self.socket.recv(most)
        except BlockingIOError:
            return
        except ConnectionResetError:
            part = b""
        if not self.begun and part:
            if not part.startswith(b"HTTP/1.1 200"):
                raise Failed("a reader got %r" % part[:40])
            self.begun = True
        self.open = bool(part)


def read_slowly(worker, count, seconds):
    """Readers, the given time after the last of them has got the begin of its answer."""
    readers = [Reader(number, worker.port) for number in range(count)]
    end = time.monotonic() + 120
    while waiting := [reader for reader in readers if reader.open and not reader.begun]:
        if time.monotonic() > end:
            raise Failed("%d of %d readers have no answer" % (len(waiting), count))
        for reader in waiting:
            reader.read(64)
        time.sleep(0.05)
    for _ in range(seconds):
        begun = time.monotonic()
        for reader in readers[::2]:
            if reader.open:
                reader.read(KIB)
        time.sleep(max(0, begun + 1 - time.monotonic()))
    return readers


def slow_readers_s3(run):
    slow_readers(run, "slow-readers-s3", 500, on_s3=True)


CASES = {
    "cold": cold,
    "cold-burst": cold_burst,
    "uploads": uploads,
    "upload-rate": upload_rate,
    "slow-readers": slow_readers,
    "slow-readers-s3": slow_readers_s3,
}
