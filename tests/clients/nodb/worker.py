"""Operations of the application on one run: each adds 1 to a count in the run's file, under its lock.

Usage: worker.py RUN_DIRECTORY TIMES; with 0 times it only writes the first file. After TIMES operations it goes on
slowly until its input ends, and prints how many it did.
"""

import os
import random
import select
import sys
import time

import jsonpickle
from wepppy.nodb.base import NoDbAlreadyLockedError, NoDbBase, NoDbStaleWriteError


class Counter(NoDbBase):
    filename = "debug_lock_test.nodb"

    def __init__(self, wd):
        super().__init__(wd, "debug.cfg")
        self.operation_count = 0


def operate(wd):
    try:
        with Counter.getInstance(wd).locked() as counter:
            counter.operation_count += 1
    except (NoDbAlreadyLockedError, NoDbStaleWriteError):
        return False
    return True


def start(wd):
    with open(os.path.join(wd, "debug.cfg"), "w") as config:
        config.write("[general]\ndem_db = debug\n")
    text = jsonpickle.encode(Counter(wd))
    with open(os.path.join(wd, Counter.filename), "w") as file:
        file.write(text)


def work(wd, times):
    done = 0
    while done < times or not select.select([sys.stdin], [], [], 0.02)[0]:
        if operate(wd):
            done += 1
        else:
            time.sleep(random.uniform(0.0005, 0.005))
    return done


def main(wd, times):
    if times == 0:
        start(wd)
    else:
        print(work(wd, times))


main(sys.argv[1], int(sys.argv[2]))
