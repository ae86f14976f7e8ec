//! `wengu gate simulate`: what the gate would do, before it has to.

use crate::cli::Exit;
use crate::cli::args::SimulateArgs;
use crate::cli::render::{count, percent, table};
use anyhow::Result;
use wengu_decide::gate::{self, GateConfig, GateMode, Metric, Share, Simulated, Simulation, run_alpha};

/// As few as the gate decides by where nothing is configured.
const MIN_ITEMS: u64 = 30;
const MIN_ERA_ITEMS: u64 = 20;

pub fn simulate(args: &SimulateArgs, json: bool) -> Result<Exit> {
    let simulated = gate::simulate(&simulation(args)?)?;
    if json {
        println!("{}", serde_json::to_string_pretty(&simulated)?);
    } else {
        print(&simulated);
    }
    Ok(Exit::Success)
}

fn simulation(args: &SimulateArgs) -> Result<Simulation> {
    let mode = if args.permissive {
        GateMode::PromoteUnlessRegressed
    } else {
        GateMode::RequireNoninferiority
    };
    Ok(Simulation {
        config: GateConfig {
            alpha: run_alpha(args.false_alarms_per_year, args.runs_per_year)?,
            margin_points: args.margin,
            min_items: MIN_ITEMS,
            min_era_items: MIN_ERA_ITEMS,
            mode,
            accuracy_floor: 0.0,
            metric: Metric::Accuracy,
        },
        items: args.items,
        reserve_items: args.reserve,
        drop_points: args.drop,
        churn_percent: args.churn,
        accuracy_percent: args.accuracy,
        repeats: args.repeats,
        seed: args.seed,
    })
}

fn print(simulated: &Simulated) {
    let (simulation, levels) = (&simulated.simulation, &simulated.levels);
    println!(
        "{} of a challenger that is {} points worse than a champion at {} %, with different answers to {} % of the items:",
        count(simulation.repeats, "simulated run"),
        simulation.drop_points,
        simulation.accuracy_percent,
        simulation.churn_percent
    );
    let mut list = table(["verdict", "share of runs", "95 % interval"]);
    for (name, share) in [
        ("promote", simulated.promote),
        ("hold", simulated.hold),
        ("regressed", simulated.regressed),
    ] {
        list.add_row([name.to_owned(), percent(share.share), interval(&share)]);
    }
    println!("{list}");
    match levels.reserve {
        Some(reserve) => println!(
            "Two stages: {} at level {}, and in {} of the runs {} more at level {reserve:.4}.",
            count(simulation.items, "item"),
            levels.gate,
            percent(simulated.asked_reserve.share),
            simulation.reserve_items
        ),
        None => println!(
            "One stage: {} at level {:.4}.",
            count(simulation.items, "item"),
            levels.gate
        ),
    }
    println!(
        "A harmless update is called a regression {:.2} times in 100. A drop of {:.1} points is noticed nine times in ten.",
        100.0 * simulation.config.alpha,
        simulated.mde_points
    );
}

fn interval(share: &Share) -> String {
    format!("{} to {}", percent(share.interval95.0), percent(share.interval95.1))
}
