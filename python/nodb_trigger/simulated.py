"""A simulated Redis, on which time moves when the test says so."""

import signal
import subprocess
import threading

from .process import start


class SimulatedRedis:
    """An empty server of this machine, with `url`; a context manager."""

    def __init__(self):
        self.process = start(["serve", "--virtual"], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().strip()

    def client(self, **options):
        """A `redis.Redis` of it, with a connection pool of its own."""
        import redis

        return redis.Redis.from_url(self.url, **options)

    def advance(self, seconds):
        """Lets time pass at once."""
        self.client().execute_command("NODB.ADVANCE", round(seconds * 1000))

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def herd(act, clients=10):
    """Calls `act` in N threads at once; returns what each returned or raised."""
    barrier = threading.Barrier(clients)
    results = [None] * clients

    def run(place):
        barrier.wait()
        try:
            results[place] = act()
        except Exception as error:  # it is the result
            results[place] = error

    threads = [threading.Thread(target=run, args=(place,)) for place in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
