//! `groundcrew check`: is this config fit for use?

use crate::Failure;
use crate::commands::Check;
use crate::loaded::load;
use crate::wording::count;

/// Prints every problem on stdout, as linters do, or what was found when all is well.
pub fn run(options: &Check) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| Failure::Other(error.to_string()))?;
    let loaded = match runtime.block_on(load(Some(&options.config))) {
        Ok(loaded) => loaded,
        Err(Failure::Usage(problems)) => {
            println!("{problems}");
            let found = problems.lines().count();
            return Err(Failure::Usage(format!("{} found", count(found, "problem"))));
        }
        Err(other) => return Err(other),
    };
    println!("{}: ok", options.config.display());
    let updates = &loaded.config.updates;
    println!(
        "  at most {} at once of the quota of {}",
        count(updates.max_concurrent_operations, "update"),
        updates.account_quota
    );
    for (index, lane) in loaded.config.lanes.iter().enumerate() {
        println!("  lane {} `{}`: at most {} at once", index + 1, lane.name, lane.concurrency);
    }
    for policy in &loaded.policies {
        println!("  policy `{}`: sha256 {}", policy.name(), policy.digest());
    }
    if loaded.policies.is_empty() {
        println!(
            "  no policies: every outdated account is updated in lane `{}`",
            loaded.config.lanes[0].name
        );
    }
    Ok(())
}
