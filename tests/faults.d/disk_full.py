"""No space left on the file system of the embedded log, or of one embedded store.

What must stay true: the process ends and says what to do, `/readyz` is 200 no longer; what was acknowledged is there once there is room again, and
every row of every store equals those of a run that nobody disturbed.
"""

import os
import subprocess
import urllib.error
import urllib.request

from feed import Feed
from place import Place, compare, settings_file
from report import last_line, until

FILES = {"log": "sqlite:{}/log", "ledger": "sqlite:{}/ledger.db", "documents": "sqlite:{}/documents.db", "metrics": "sqlite:{}/metrics.db", "baselines": "sqlite:{}/baselines.db", "search": "tantivy:{}/search"}
# KiB that are soon full, from to, and MiB that are enough.
SMALL = {"log": (3_000, 6_000), "ledger": (3_000, 6_000), "documents": (4_000, 8_000), "metrics": (2_000, 4_000), "baselines": (2_000, 4_000), "search": (300, 400)}
ROOM = 400
SLICE = 500
PATIENCE = 120
SENTENCE = ("no space left for", "free space, then start again")


def run(options, report, work):
    if os.geteuid() != 0:
        report.skip("full disks", "only root may mount a small file system")
        return
    runs = options.runs or (20 if options.long else 2)
    for number in range(runs):
        role = list(FILES)[number % len(FILES)]
        small = work.folder / f"small-{number}"
        small.mkdir()
        least, most = SMALL[role]
        size = least + (options.seed * 7919 + number * 104729) % (most - least)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "wardhouse-faults", str(small)], capture_output=True, text=True)
        if mounted.returncode != 0:
            report.skip("full disks", f"no file system can be mounted here: {mounted.stderr.strip()}")
            return
        work.undo.append(lambda small=small: subprocess.run(["umount", "-l", str(small)], check=False, capture_output=True))
        one(report, work, role, small, size, options.seed + number, f"full-{number}")
        subprocess.run(["umount", str(small)], check=False)


def tells(said):
    return any(sentence in said for sentence in SENTENCE)


def ready(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def one(report, work, role, small, size, seed, name):
    what = f"{role} on a full disk"
    settings = settings_file(work.folder / f"{name}.toml", {role: FILES[role].format(small)})
    port = 9700 + os.getpid() % 200
    place = Place(work.folder / name, settings, {"WARDHOUSE_SCORER__QUIET_SECONDS": "600"})
    feed = Feed(work.folder / f"{name}-input", seed, (PATIENCE + 10) * SLICE, SLICE)
    log = work.folder / f"{name}.log"
    report.say(f"{role} on {size} KiB")
    up = work.spawn(place.line("up", "--rate", "0", "--no-history"), log, {**place.environment, "WARDHOUSE_OPERATIONS__LISTEN": f"127.0.0.1:{port}"})
    report.check(f"{what}: ready before", until(lambda: ready(port) or up.poll() is not None, 30) and up.poll() is None)
    unfinished, told = None, ""
    for _ in range(PATIENCE):
        path, _ = feed.next()
        done = place.run("import", str(path))
        if done.returncode != 0:
            unfinished, told = path, done.stderr
        if unfinished or until(lambda: up.poll() is not None, 0.4, 0.05):
            break
    ended = until(lambda: up.poll() is not None, 30)
    said = log.read_text(errors="replace")
    report.check(f"{what}: up ends by itself, not with 0", ended and up.returncode not in (0, None))
    report.check(f"{what}: it says what to do: {last_line(log)}", tells(said))
    report.check(f"{what}: not ready then", not ready(port))
    if unfinished:
        report.check(f"{what}: the import says so too: {told.strip().splitlines()[-1][:240] if told.strip() else ''}", tells(told))
    log.unlink()
    again = work.spawn(place.line("up", "--rate", "0", "--no-history"), log, place.environment)
    if until(lambda: again.poll() is not None, 10):
        report.check(f"{what}: started again without room it says so again", again.returncode != 0 and tells(log.read_text(errors="replace")))
    else:
        # What was given up half written is gone: that may be room enough.
        report.check(f"{what}: started again it goes on", place.settled(feed.rows if not unfinished else feed.rows - SLICE))
        again.terminate()
        again.wait()
    status = place.run("status")
    report.say(f"  status ends with {status.returncode} meanwhile: {(status.stderr or status.stdout).strip().splitlines()[-1][:200]}")
    subprocess.run(["mount", "-o", f"remount,size={ROOM}m", str(small)], check=True)
    if unfinished:
        place.ok("import", str(unfinished))
    # And more, now that there is room.
    place.ok("import", str(feed.next()[0]))
    place.ok("up", "--rate", "0", "--no-history", "--until-idle", environment={"WARDHOUSE_SCORER__QUIET_SECONDS": "2"})
    report.check(f"{what}: with room again all {feed.rows} records are settled and add up", until(lambda: place.settled(feed.rows), 60))
    found, expected = work.folder / f"{name}-rows", work.folder / f"{name}-undisturbed-rows"
    place.dump(found)
    calm = Place(work.folder / f"{name}-undisturbed", environment={"WARDHOUSE_SCORER__QUIET_SECONDS": "2"})
    for path, _ in feed.slices:
        calm.ok("import", str(path))
    calm.ok("up", "--rate", "0", "--no-history", "--until-idle")
    calm.dump(expected)
    compare(report, expected, found, f"undisturbed and with {what}")
