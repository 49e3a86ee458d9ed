"""Unmodified pyasic against the emulated farm: does it find, read and steer each machine?

    python pyasic_check.py hearth twin farm

The command given is started with one machine of each kind on 127.0.77.1 to 6. Whether a command took
effect is judged by the farm's own physics (its `--json` lines), never by what a machine answers.
"""

import asyncio
import json
import logging
import subprocess
import sys
import threading
import time
import warnings
from importlib.metadata import version

warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)

import pyasic  # noqa: E402
from pyasic.config import FanModeConfig  # noqa: E402

SPEED = 20
KINDS = "gamma:1,braiins-s21pro:1,whatsminer-m30s++:1,antminer-s21:1,luxos-s19kpro:1,avalon-q:1"
ARGUMENTS = ["--first", "127.0.77.1", "--mix", KINDS, "--speed", str(SPEED), "--every", "300ms", "--json"]
PATIENCE = 30  # seconds; 10 emulated minutes


class Farm:
    """The farm's own figures, as they come."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.rows = {}
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            seen = json.loads(line)
            self.rows = {row["address"]: row for row in seen["machines"]}

    async def until(self, address, holds, stays=60):
        """Waits until the machine's own figures are so and stay so for this many emulated seconds."""
        since, end = None, time.monotonic() + PATIENCE
        while time.monotonic() < end:
            row, now = self.rows.get(address), time.monotonic()
            since = (since or now) if row and holds(row) else None
            if since and now - since >= stays / SPEED:
                return True
            await asyncio.sleep(0.1)
        return False

    async def steady(self, address, patience=60):
        """Waits until it hashes and its power and heat no longer change."""
        last, end = None, time.monotonic() + patience
        while time.monotonic() < end:
            row = self.rows.get(address)
            now = row and (row["power_w"], row["chip_c"])
            if row and row["phase"] == "running" and last and near(now[0], last[0], 0.003):
                if abs(now[1] - last[1]) < 0.2 and row["hashrate_ths"] > 0:
                    return row
            last = now
            await asyncio.sleep(1)
        return self.rows.get(address)


def near(got, want, part):
    return got is not None and want and abs(float(got) / want - 1) <= part


class Report:
    """What was tried and how it went."""

    def __init__(self):
        self.rows = []

    def add(self, machine, what, good, said=""):
        self.rows.append((machine, what, good))
        print(f"{'ok  ' if good else 'FAIL'}  {machine:18} {what:38} {said}", flush=True)


def stopped(row):
    return row["hashrate_ths"] == 0


def booted(row):
    """A restart shows as a boot or, since that is short, as a clock on its way up."""
    return row["phase"] != "running" or row["hashrate_ths"] < 0.9


def hashing(row):
    return row["phase"] == "running" and row["hashrate_ths"] > 0


async def controls(farm, report, name, address, steps):
    for what, act, holds in steps:
        miner = await pyasic.get_miner(address)
        try:
            said = await act(miner)
        except Exception as error:  # a client's own failure is a result, too
            said = repr(error)
        good = await farm.until(address, holds, 0 if what == "reboot" else 60)
        if good and "resume" in what:
            await farm.steady(address)
        row = farm.rows[address]
        report.add(name, what, good, f"said {said}; {row['power_w']:.0f} W, {row['phase']}")


async def check(farm, report, address, name, kind, model, figures, steps):
    await farm.steady(address)
    miner = await pyasic.get_miner(address)
    report.add(name, f"found as {kind}", type(miner).__name__ == kind, f"{type(miner).__name__}, {miner}")
    data = await miner.get_data()
    row = farm.rows[address]
    report.add(name, f"model {model}", model in str(data.model), str(data.model))
    if "hashrate" in figures:
        got = data.hashrate and float(data.hashrate)
        report.add(name, "hashrate within 5 %", near(got, row["hashrate_ths"], 0.05), f"{got} / {row['hashrate_ths']:.2f} TH/s")
    if "boards" in figures:
        got = sum(float(board.hashrate or 0) for board in data.hashboards)
        report.add(name, "boards' hashrate within 5 %", near(got, row["hashrate_ths"], 0.05), f"{got:.2f} / {row['hashrate_ths']:.2f} TH/s")
    if "wattage" in figures:
        report.add(name, "wattage within 5 %", near(data.wattage, row["power_w"], 0.05), f"{data.wattage} / {row['power_w']:.0f} W")
    if "chip" in figures:
        chips = [board.chip_temp for board in data.hashboards if board.chip_temp]
        got = max(chips) if chips else None
        report.add(name, "chip temperature within 5 %", near(got, row["chip_c"], 0.05), f"{got} / {row['chip_c']:.1f} C")
    if "mac" in figures:
        mac = str(data.mac)
        report.add(name, "address of its own", mac.startswith("02:") and len(mac) == 17, mac)
    await controls(farm, report, name, address, steps)


def limit(watts, reached):
    return (
        f"set_power_limit({watts})",
        lambda miner: miner.set_power_limit(watts),
        lambda row: row["phase"] == "running" and near(row["power_w"], reached, 0.02),
    )


STOP = ("stop_mining", lambda miner: miner.stop_mining(), stopped)
RESUME = ("resume_mining", lambda miner: miner.resume_mining(), hashing)


def fan(percent):
    """The configuration as it was read, with this fan speed; without the pools read, pyasic fails."""

    async def send(miner):
        config = await miner.get_config()
        config.fan_mode = FanModeConfig.manual(speed=percent)
        return await miner.send_config(config)

    return send


async def main(command):
    farm = Farm(command + ARGUMENTS)
    report = Report()
    try:
        assert await farm.until("127.0.77.6", lambda row: True), "the farm does not start"
        every = ("hashrate", "wattage", "chip", "mac")
        await asyncio.gather(
            check(farm, report, "127.0.77.1", "Bitaxe Gamma", "BitAxeGamma", "Gamma", every, [
                ("send_config(fan 70 %)", fan(70), lambda row: row["chip_c"] > 67),
                ("send_config(fan 100 %)", fan(100), lambda row: row["chip_c"] < 65),
                ("reboot", lambda miner: miner.reboot(), booted),
            ]),
            check(farm, report, "127.0.77.2", "Braiins S21 Pro", "BOSMinerS21Pro", "S21 Pro", every + ("boards",), [
                STOP, RESUME, limit(2500, 2500),
            ]),
            check(farm, report, "127.0.77.3", "Whatsminer M30S++", "BTMinerM30SPlusPlusVE40", "M30S++ VE40", every + ("boards",), [
                STOP, RESUME, limit(3000, 3000),
            ]),
            # pyasic asks stock Antminers for no wattage.
            check(farm, report, "127.0.77.4", "Antminer S21", "BMMinerS21", "S21", ("hashrate", "boards", "chip", "mac"), [
                STOP, RESUME,
            ]),
            # pyasic 0.79.0 returns None for the hashrate and the address of every LuxOS machine: the code
            # behind `return None` in luxminer.py is never reached. Its chip temperature is a mean of two
            # corners of a board.
            check(farm, report, "127.0.77.5", "LuxOS S19k Pro", "LUXMinerS19kPro", "S19k Pro", ("boards", "wattage"), [
                STOP, RESUME, limit(2000, 1916),
            ]),
            # The Q tells its power in a field that pyasic does not read.
            check(farm, report, "127.0.77.6", "Avalon Q", "CGMinerAvalonQHome", "Q", ("hashrate", "boards", "mac"), [
                STOP, RESUME,
            ]),
        )
    finally:
        farm.process.terminate()
        farm.process.wait()
    found = [good for _, what, good in report.rows if what.startswith("found")]
    acted = [good for _, what, good in report.rows if "(" in what or what in ("stop_mining", "resume_mining", "reboot")]
    read = len(report.rows) - len(found) - len(acted)
    good = sum(1 for row in report.rows if row[2])
    print(f"pyasic {version('pyasic')}: {sum(found)} of {len(found)} identified, "
          f"{good - sum(found) - sum(acted)} of {read} figures right, {sum(acted)} of {len(acted)} controls took effect")
    return 0 if good == len(report.rows) else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
