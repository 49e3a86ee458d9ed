"""Ten made-up days planned by EMHASS and by hearth, and what each plan costs when counted apart.

usage: python compare.py HEARTH...   (the command that runs hearth)

Both get the same prices, sun, load, connection, battery and machine of one level with minimum times on
and off, and the same gap. EMHASS runs a load for a number of hours that it is told: it is asked for
every one that there is, and its cheapest plan counts, so that what the machine earns decides there
too. Plans are reduced to the machine's power and the battery's power; rules and costs follow from
these alone, by one function for both.

EMHASS ends with exactly the energy it is told, hearth with at least that much; and EMHASS curtails
nothing, hearth might. Neither gains anything: no price is below zero, and the connection takes all sun.
EMHASS means charging power at the terminals and discharging power inside, hearth both at the terminals:
it is told accordingly.
"""

import csv, json, logging, math, os, random, subprocess, sys, tempfile
from importlib import resources

import numpy as np
import pandas as pd
from emhass.optimization import Optimization

STEPS, HOURS = 48, 0.5
MINER_KW = 1.4
BATTERY = dict(most=10.0, least=1.0, now=5.0, kw=4.0, efficiency=0.95)
IMPORT_KW = EXPORT_KW = 9.0
# In steps.
MIN_ON, MIN_OFF = 4, 2
GAP = 1e-6
# Costs nearer to each other than this are equal: the gap of both, and what their output rounds.
EQUAL_USD = 5e-4


def day(seed):
    """MADE UP: no market's prices and no place's weather."""
    r = random.Random(seed)
    dear, sunny, shift = r.uniform(0.05, 0.12), r.uniform(0.5, 6.0), r.uniform(-2, 2)
    hours = [t * HOURS for t in range(STEPS)]
    wave = lambda h, at, length: math.sin(math.tau * (h - at) / length)
    price = [max(0.01, 0.14 + dear * wave(h, 13 + shift, 24) + 0.03 * wave(h, 3, 12)
                 + r.gauss(0, 0.01)) for h in hours]
    return dict(
        price=price,
        sell=[max(0.0, p - 0.08) for p in price],
        pv=[max(0.0, sunny * math.sin(math.pi * (h - 7) / 10)) * r.uniform(0.6, 1)
            if 7 < h < 17 else 0.0 for h in hours],
        load=[0.3 + 0.6 * math.exp(-((h - 7.5) / 1.5) ** 2) + 1.2 * math.exp(-((h - 19) / 2) ** 2)
              + r.uniform(0, 0.2) for h in hours],
        value=r.uniform(0.09, 0.16),
    )


def cost(d, miner, battery):
    """Dollars; a sentence where the plan breaks a rule. Battery power is positive into it."""
    usd, energy = 0.0, BATTERY["now"]
    for t in range(STEPS):
        net = d["load"][t] + miner[t] + battery[t] - d["pv"][t]
        if net > IMPORT_KW + 1e-3 or -net > EXPORT_KW + 1e-3:
            raise SystemExit(f"step {t}: {net} kW at the connection")
        if abs(battery[t]) > BATTERY["kw"] + 1e-3:
            raise SystemExit(f"step {t}: {battery[t]} kW at the battery")
        if min(abs(miner[t]), abs(miner[t] - MINER_KW)) > 1e-3:
            raise SystemExit(f"step {t}: the machine draws {miner[t]} kW")
        usd += HOURS * (max(net, 0) * d["price"][t] - max(-net, 0) * d["sell"][t]
                        - miner[t] * d["value"])
        gain = BATTERY["efficiency"] if battery[t] > 0 else 1 / BATTERY["efficiency"]
        energy += HOURS * battery[t] * gain
        if not BATTERY["least"] - 1e-3 <= energy <= BATTERY["most"] + 1e-3:
            raise SystemExit(f"step {t}: {energy} kWh in the battery")
    if energy < BATTERY["now"] - 1e-3:
        raise SystemExit(f"{energy} kWh left in the battery")
    # Off before the plan, for long enough; a run or a rest may outlast the plan.
    on, since = False, STEPS
    for t in range(STEPS):
        if (miner[t] > MINER_KW / 2) != on:
            if since < (MIN_ON if on else MIN_OFF):
                raise SystemExit(f"step {t}: the machine changes after {since} steps")
            on, since = not on, 0
        since += 1
    return usd


def emhass(d, hours):
    data = resources.files("emhass") / "data"
    defaults = json.loads((data / "config_defaults.json").read_text())
    confs = {"retrieve_hass_conf": {}, "optim_conf": {}, "plant_conf": {}}
    for row in csv.DictReader((data / "associations.csv").read_text().splitlines()):
        if row["config_categorie"] in confs and row["parameter"] in defaults:
            confs[row["config_categorie"]][row["parameter"]] = defaults[row["parameter"]]
    retrieve, optim, plant = confs.values()
    retrieve.update(optimization_time_step=pd.Timedelta(minutes=30), time_zone="UTC")
    optim.update(
        set_use_battery=True, set_use_pv=True, costfun="profit", number_of_deferrable_loads=1,
        nominal_power_of_deferrable_loads=[MINER_KW * 1e3],
        minimum_power_of_deferrable_loads=[0.0], cost_forecast_per_deferrable_load=[None],
        is_electric_load=[True], operating_hours_of_each_deferrable_load=[hours],
        start_timesteps_of_each_deferrable_load=[0], end_timesteps_of_each_deferrable_load=[0],
        treat_deferrable_load_as_semi_cont=[True], set_deferrable_load_single_constant=[False],
        set_deferrable_startup_penalty=[0.0], deferrable_load_max_cost=[0.0],
        set_deferrable_max_startups=[0], def_minimum_on_time=[MIN_ON],
        def_minimum_off_time=[MIN_OFF], set_nodischarge_to_grid=False,
        lp_solver_mip_rel_gap=GAP, delta_forecast_daily=1,
    )
    plant.update(
        maximum_power_from_grid=IMPORT_KW * 1e3, maximum_power_to_grid=EXPORT_KW * 1e3,
        battery_nominal_energy_capacity=BATTERY["most"] * 1e3, battery_maximum_state_of_charge=1.0,
        battery_minimum_state_of_charge=BATTERY["least"] / BATTERY["most"],
        battery_target_state_of_charge=BATTERY["now"] / BATTERY["most"],
        battery_charge_power_max=BATTERY["kw"] * 1e3,
        battery_discharge_power_max=BATTERY["kw"] / BATTERY["efficiency"] * 1e3,
        battery_charge_efficiency=BATTERY["efficiency"],
        battery_discharge_efficiency=BATTERY["efficiency"],
    )
    index = pd.date_range("2026-01-15", periods=STEPS, freq="30min", tz="UTC")
    table = pd.DataFrame({"cost": d["price"], "sell": d["sell"]}, index=index)
    logger = logging.getLogger("emhass")
    logger.setLevel(logging.ERROR)
    paths = {"data_path": data, "root_path": data.parent}
    optimizer = Optimization(retrieve, optim, plant, "cost", "sell", "profit", paths, logger)
    pv = pd.Series(np.array(d["pv"]) * 1e3, index=index)
    load = pd.Series(np.array(d["load"]) * 1e3, index=index)
    soc = BATTERY["now"] / BATTERY["most"]
    plan = optimizer.perform_dayahead_forecast_optim(table, pv, load, soc_init=soc, soc_final=soc)
    if not str(optimizer.optim_status).lower().startswith("optimal"):
        return None
    return list(plan["P_deferrable0"] / 1e3), list(-plan["P_batt"] / 1e3)


def hearth(command, d):
    b = BATTERY
    text = f"""
start = 2026-01-15T00:00:00Z
step_min = 30
import_usd_per_kwh = {d["price"]}
export_usd_per_kwh = {d["sell"]}
pv_kw = {d["pv"]}
load_kw = {d["load"]}
import_limit_kw = {IMPORT_KW}
export_limit_kw = {EXPORT_KW}
[[class]]
name = "miner"
min_on_min = {MIN_ON * HOURS * 60:g}
min_off_min = {MIN_OFF * HOURS * 60:g}
level = [{{ power_kw = {MINER_KW}, usd_per_hour = {MINER_KW * d["value"]} }}]
[battery]
now_kwh = {b["now"]}
least_kwh = {b["least"]}
most_kwh = {b["most"]}
charge_kw = {b["kw"]}
discharge_kw = {b["kw"]}
charge_efficiency = {b["efficiency"]}
discharge_efficiency = {b["efficiency"]}
end_least_kwh = {b["now"]}
"""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "day.toml")
        with open(path, "w") as file:
            file.write(text)
        said = subprocess.run([*command, "plan", path, "--json", f"--gap={GAP}"], check=True, capture_output=True)
    rows = json.loads(said.stdout)["plan"]
    return [r["miner_kw"] for r in rows], [r["battery_kw"] for r in rows]


def main():
    command, worse = sys.argv[1:], []
    print("| day | EMHASS, $ | at hours | hearth, $ | hours | hearth costs less by, $ |\n|---|---|---|---|---|---|")
    for seed in range(1, 11):
        d = day(seed)
        plans = ((steps * HOURS, emhass(d, steps * HOURS)) for steps in range(STEPS + 1))
        theirs, hours = min((cost(d, *plan), hours) for hours, plan in plans if plan)
        miner, battery = hearth(command, d)
        ours = cost(d, miner, battery)
        runs = HOURS * sum(kw > MINER_KW / 2 for kw in miner)
        print(f"| {seed} | {theirs:.4f} | {hours:g} | {ours:.4f} | {runs:g} | {theirs - ours:.4f} |", flush=True)
        if ours > theirs + EQUAL_USD:
            worse.append(seed)
    if worse:
        raise SystemExit(f"FAIL: hearth's plan costs more on the days {worse}")


main()
