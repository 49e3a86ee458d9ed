//! A plan as a report: a line per step, and a picture. It computes no figure of its own.

use dispatch::plan::{Interval, Options, Plan, Problem};
use lab::report::{Axis, Cell, Chart, Column, Content, Input, Report, Series, Source, Table};

/// The plan of this problem, which `origin` describes.
pub fn report(problem: &Problem, plan: &Plan, options: Options, origin: String) -> Report {
    let input = |name, value, source| Input { name, value, source };
    let minutes = problem.step.as_secs_f64() / 60.0;
    Report {
        name: "plan",
        finding: finding(problem, plan),
        inputs: vec![
            input("steps", Cell::Count(problem.steps() as u64), Source::File(origin.clone())),
            input("step_min", Cell::exact(minutes), Source::File(origin)),
            input("gap", Cell::exact(options.gap), Source::Flag),
            input("patience_s", Cell::exact(options.patience.as_secs_f64()), Source::Flag),
        ],
        tables: vec![table(problem, plan), totals(plan)],
        chart: Some(chart(problem, plan)),
    }
}

fn finding(problem: &Problem, plan: &Plan) -> String {
    let hours = problem.step.as_secs_f64() / 3600.0 * problem.steps() as f64;
    let cost = plan.cost.get();
    let money =
        if cost < 0.0 { format!("earns ${:.2}", -cost) } else { format!("costs ${cost:.2}") };
    let bound = match (plan.bound, plan.gap()) {
        (Some(bound), Some(gap)) => format!(
            "no plan can be better than the linear relaxation, at a cost of ${:.2} ({:.2} % away)",
            bound.get(),
            100.0 * gap
        ),
        _ => "how much better a plan could be is unknown".into(),
    };
    let unproven = if plan.proven {
        ""
    } else {
        " The search ran out of time: this is its best plan so far; allow more with --patience."
    };
    format!("The plan of {hours} hours {money}; {bound}.{unproven}")
}

/// What one step has in a column.
type Show<'a> = Box<dyn Fn(usize, &Interval) -> Cell + 'a>;

fn table(problem: &Problem, plan: &Plan) -> Table {
    let mut columns: Vec<(Column, Show<'_>)> = Vec::new();
    let mut add = |name: String, heading: String, show| {
        columns.push((Column::new(name, heading), show));
    };
    let kw = |watts: f64| Cell::Number(watts / 1e3, 2);
    add("at".into(), "time".into(), Box::new(|_, i| Cell::Text(clock(i.at.0))));
    let price = |t: usize, _: &Interval| Cell::Number(problem.import[t].usd_per_kwh(), 4);
    add("import_usd_per_kwh".into(), "price, $/kWh".into(), Box::new(price));
    add("import_kw".into(), "import, kW".into(), Box::new(move |_, i| kw(i.import.get())));
    if !problem.export.is_empty() {
        add("export_kw".into(), "export, kW".into(), Box::new(move |_, i| kw(i.export.get())));
    }
    if !problem.pv.is_empty() {
        add("pv_kw".into(), "solar, kW".into(), Box::new(move |_, i| kw(i.pv.get())));
    }
    for (k, class) in problem.classes.iter().enumerate() {
        let on = move |_: usize, i: &Interval| {
            Cell::Count(i.classes[k].counts.iter().map(|n| u64::from(*n)).sum())
        };
        if class.count > 1 {
            add(format!("{}_on", class.name), format!("{} on", class.name), Box::new(on));
        }
        let power = move |_: usize, i: &Interval| kw(i.classes[k].power.get());
        add(format!("{}_kw", class.name), format!("{}, kW", class.name), Box::new(power));
    }
    if problem.battery.is_some() {
        let missing = || Cell::Missing;
        let power = move |_: usize, i: &Interval| i.battery.map_or_else(missing, |b| kw(b.0.get()));
        add("battery_kw".into(), "into battery, kW".into(), Box::new(power));
        let energy =
            move |_: usize, i: &Interval| i.battery.map_or_else(missing, |b| kw(b.1.get()));
        add("battery_kwh".into(), "in battery, kWh".into(), Box::new(energy));
    }
    if problem.genset.is_some() {
        let power = move |_: usize, i: &Interval| kw(i.genset.map_or(0.0, |w| w.get()));
        add("genset_kw".into(), "engine, kW".into(), Box::new(power));
    }
    for (z, zone) in problem.zones.iter().enumerate() {
        let degrees = move |_: usize, i: &Interval| Cell::Number(i.zones[z].temperature.get(), 1);
        add(format!("{}_c", zone.name), format!("{}, °C", zone.name), Box::new(degrees));
        if zone.heater.is_some() {
            let heater = move |_: usize, i: &Interval| kw(i.zones[z].heater.get());
            let heading = format!("heater of {}, kW", zone.name);
            add(format!("{}_heater_kw", zone.name), heading, Box::new(heater));
        }
    }
    for (r, reserve) in problem.reserves.iter().enumerate() {
        let held = move |_: usize, i: &Interval| kw(i.reserves[r].get());
        add(format!("{}_kw", reserve.name), format!("{}, kW", reserve.name), Box::new(held));
    }
    let marginal = |_: usize, i: &Interval| {
        i.marginal.map_or(Cell::Missing, |price| Cell::Number(price.usd_per_kwh(), 4))
    };
    add("marginal_usd_per_kwh".into(), "inside, $/kWh".into(), Box::new(marginal));
    add("cost_usd".into(), "cost, $".into(), Box::new(|_, i| Cell::Number(i.cost.get(), 3)));
    add("why".into(), "why".into(), Box::new(|_, i| Cell::Text(i.why.text.clone())));

    let (columns, shows): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let mut table = Table::new("plan", "Step by step (UTC)", columns);
    for (t, interval) in plan.intervals.iter().enumerate() {
        table.row(shows.iter().map(|show| show(t, interval)));
    }
    table
}

/// The cost, exactly: the steps alone do not add up to it where there are peaks and penalties.
fn totals(plan: &Plan) -> Table {
    let columns = [
        Column::new("cost_usd", "cost, $"),
        Column::new("bound_usd", "bound, $"),
        Column::new("gap_percent", "gap, %"),
        Column::new("steps_usd", "of it in steps, $"),
        Column::new("proven", "proven"),
    ];
    let mut table = Table::new("totals", "In all", columns);
    let or_missing = |value: Option<f64>, decimals| {
        value.map_or(Cell::Missing, |value| Cell::Number(value, decimals))
    };
    table.row([
        Cell::Number(plan.cost.get(), 4),
        or_missing(plan.bound.map(|usd| usd.get()), 4),
        or_missing(plan.gap().map(|gap| 100.0 * gap), 3),
        Cell::Number(plan.intervals.iter().map(|i| i.cost.get()).sum(), 4),
        if plan.proven { "yes" } else { "no" }.into(),
    ]);
    table
}

/// Power in steps, and the price in the unit that makes it as high.
fn chart(problem: &Problem, plan: &Plan) -> Chart {
    let hours = problem.step.as_secs_f64() / 3600.0;
    let line = |name: String, value: &dyn Fn(usize, &Interval) -> f64| Series {
        name,
        points: (plan.intervals.iter().enumerate())
            .flat_map(|(t, interval)| {
                let value = value(t, interval);
                [(t as f64 * hours, value), ((t + 1) as f64 * hours, value)]
            })
            .collect(),
        band: Vec::new(),
    };
    let highest = plan.intervals.iter().map(|i| i.import.kilowatts()).fold(0.0, f64::max);
    let (unit, per_usd) = if highest < 40.0 { ("¢/kWh", 100.0) } else { ("$/MWh", 1000.0) };
    let mut lines = vec![
        line(format!("price, {unit}"), &|t, _| problem.import[t].usd_per_kwh() * per_usd),
        line("grid".into(), &|_, i| i.import.kilowatts() - i.export.kilowatts()),
    ];
    if !problem.pv.is_empty() {
        lines.push(line("solar".into(), &|_, i| i.pv.kilowatts()));
    }
    if problem.battery.is_some() {
        let into = |_: usize, i: &Interval| i.battery.map_or(0.0, |b| b.0.get() / 1e3);
        lines.push(line("into battery".into(), &into));
    }
    if problem.genset.is_some() {
        lines.push(line("engine".into(), &|_, i| i.genset.map_or(0.0, |w| w.kilowatts())));
    }
    for (k, class) in problem.classes.iter().enumerate() {
        lines.push(line(class.name.to_string(), &|_, i| i.classes[k].power.kilowatts()));
    }
    for (z, zone) in problem.zones.iter().enumerate().filter(|(_, z)| z.heater.is_some()) {
        let name = format!("heater of {}", zone.name);
        lines.push(line(name, &|_, i| i.zones[z].heater.kilowatts()));
    }
    Chart {
        title: format!("Day plan from {} UTC", clock(problem.start.0)),
        x: Axis::linear("hours from the start"),
        y: Axis::linear(format!("kW, and price in {unit}")),
        content: Content::Lines(lines),
    }
}

fn clock(unix: u64) -> String {
    format!("{:02}:{:02}", unix / 3600 % 24, unix / 60 % 60)
}
