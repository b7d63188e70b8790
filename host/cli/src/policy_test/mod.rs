//! `groundcrew policy test`: checks whether policies decide as their test cases expect. Runs the
//! same plugins in the same sandbox as a fleet update does.

mod cases;
mod coverage;
mod finding;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use groundcrew_core::config::{PluginSettings, PluginSource};
use groundcrew_core::decision::{Candidate, PolicyDecision};
use groundcrew_core::decision_combiner::DecisionOutcome;
use groundcrew_core::limits::Limits;
use groundcrew_core::ports::Policy;
use groundcrew_core::text::printable;
use groundcrew_plugins::{
    Coverage, Instance, LoadError, LoadedPolicy, PolicySpec, Runtime, RuntimeOptions,
};

use crate::command_error::CommandError;
use crate::commands::PolicyTest;
use crate::formatting::count;
use crate::loaded_config::{LoadedConfig, PluginSelection, cache_dir, plugin_source, read_config};
use crate::output::print_sanitized;
use crate::ports::NoSupportCases;
use crate::script_data::ScriptData;
use cases::{Case, CasesFile, SUFFIX};
use coverage::Scripts;
use finding::{PolicyOutcome, describe, mismatches};

pub fn run(options: &PolicyTest) -> Result<(), CommandError> {
    let mut files = Vec::new();
    find_case_files(&options.path, &mut files).map_err(CommandError::Usage)?;
    if files.is_empty() {
        return Err(CommandError::Usage(format!(
            "{}: no test cases here: they are in files named like `rings{SUFFIX}`",
            options.path.display()
        )));
    }
    let runtime = crate::runtime::current_thread()?;
    let (mut passed, mut failed, mut broken) = (0, 0, Vec::new());
    let coverage = options.coverage.then(|| Arc::new(Coverage::default()));
    let plugin_runtime = new_runtime(coverage.clone())?;
    let mut scripts = Scripts::default();
    for file in &files {
        let tested = runtime.block_on(test(&plugin_runtime, file, coverage.as_ref()));
        if let Some(coverage) = &coverage {
            scripts.add(base_dir(file), coverage);
        }
        match tested {
            Ok(results) => {
                let failures = results.iter().filter(|result| result.is_err()).count();
                passed += results.len() - failures;
                failed += failures;
                print_sanitized(&describe_file(file, &results))?;
            }
            Err(problem) => {
                print_sanitized(&format!("{problem}\n"))?;
                broken.push(problem);
            }
        }
    }
    if options.coverage {
        print_sanitized(&scripts.describe())?;
    }
    if passed + failed > 0 || broken.is_empty() {
        print_sanitized(&format!(
            "{}: {passed} passed, {failed} failed\n",
            count(passed + failed, "case")
        ))?;
    }
    match (broken.len(), failed) {
        (0, 0) => Ok(()),
        (0, _) => Err(CommandError::Other(format!(
            "{} failed: fix the policy, or what is expected",
            count(failed, "case")
        ))),
        (files, _) => Err(CommandError::Usage(format!(
            "{} can't be tested: fix what is shown",
            count(files, "file")
        ))),
    }
}

/// The runtime of the policies.
fn new_runtime(coverage: Option<Arc<Coverage>>) -> Result<Runtime, CommandError> {
    let runtime = Runtime::new(RuntimeOptions { cache_dir: cache_dir() })
        .map_err(|error| CommandError::Other(error.to_string()))?;
    Ok(match coverage {
        Some(coverage) => runtime.with_coverage(coverage),
        None => runtime,
    })
}

/// The folder to which the paths in a file of cases are relative.
fn base_dir(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

/// The files of cases at a path or below it, in order.
fn find_case_files(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let failed = |error: std::io::Error| {
        format!(
            "{}: {error}; name a file of cases, such as rings{SUFFIX}, or a folder with some",
            path.display()
        )
    };
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    let entries: Result<Vec<_>, _> = std::fs::read_dir(path).map_err(failed)?.collect();
    let mut entries = entries.map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // Symbolic links could form cycles.
        let is_directory = entry.file_type().map_err(failed)?.is_dir();
        let path = if path == Path::new(".") { name.as_ref().into() } else { entry.path() };
        match is_directory {
            true if !name.starts_with('.') && name != "target" && name != "node_modules" => {
                find_case_files(&path, files)?;
            }
            false if name.ends_with(SUFFIX) => files.push(path),
            _ => {}
        }
    }
    Ok(())
}

/// A case whose decision differs from the expected one.
struct FailedCase {
    name: String,
    line: usize,
    expected: String,
    actual: String,
}

/// Runs the cases of one file.
async fn test(
    runtime: &Runtime,
    path: &Path,
    coverage: Option<&Arc<Coverage>>,
) -> Result<Vec<Result<(), FailedCase>>, String> {
    let (file, lines) = CasesFile::read(path)?;
    let base_dir = base_dir(path);
    let under_test = PolicyUnderTest::load(runtime, &file, path, coverage).await?;
    let mut results = Vec::new();
    for case in &file.cases {
        let line = lines.line_at(case.span().start);
        let Case { name, candidate, expect } = case.get_ref();
        let candidate = candidate
            .candidate(base_dir)
            .map_err(|error| format!("{}:{line}: case `{name}`: {error}", path.display()))?;
        let actual = under_test.evaluate(&candidate).await;
        results.push(match mismatches(expect, &actual) {
            false => Ok(()),
            true => Err(FailedCase {
                name: name.clone(),
                line,
                expected: expect.to_string(),
                actual: describe(&actual),
            }),
        });
    }
    Ok(results)
}

/// The policy or config under test.
enum PolicyUnderTest {
    /// One policy.
    Policy(Box<LoadedPolicy>),
    /// The policies of a config, as a pipeline.
    Config(Box<LoadedConfig>),
}

impl PolicyUnderTest {
    async fn load(
        runtime: &Runtime,
        file: &CasesFile,
        path: &Path,
        coverage: Option<&Arc<Coverage>>,
    ) -> Result<Self, String> {
        let (name, base_dir) = (path.display(), base_dir(path));
        if let Some(config) = &file.config {
            let config = base_dir.join(config);
            let loading = async {
                let read = read_config(Some(&config))?.with_coverage(coverage.cloned());
                read.load(PluginSelection::All, Arc::new(NoSupportCases)).await
            };
            let loaded = loading.await.map_err(|failure| failure.to_string())?;
            return Ok(Self::Config(Box::new(loaded)));
        }
        let plugin = PluginSource::from_key(file.plugin.as_deref().unwrap_or_default());
        let data =
            ScriptData::of(&plugin, base_dir).map_err(|error| format!("{name}:1: {error}"))?;
        let settings = PluginSettings::empty(1).with_defaults(file.settings.clone());
        let spec = PolicySpec {
            name: plugin.name(),
            source: plugin_source(&plugin, base_dir),
            sha256: None,
            settings: data.map_or(settings.clone(), |data| data.merge_into(&settings)).json,
            lanes: file.lanes.clone(),
            limits: Limits::default(),
            instance: Instance::Kept,
        };
        match runtime.load_policy(spec).await {
            Ok(policy) => Ok(Self::Policy(Box::new(policy))),
            Err(LoadError::Settings(problems)) => {
                let problems = problems.iter().map(|problem| match problem.at.as_str() {
                    "" => format!("{name}:1: {}", problem.message),
                    at => {
                        format!("{name}:1: settings{}: {}", at.replace('/', "."), problem.message)
                    }
                });
                Err(problems.collect::<Vec<_>>().join("\n"))
            }
            Err(error) => Err(format!("{name}:1: {error}")),
        }
    }

    async fn evaluate(&self, candidate: &Candidate) -> PolicyOutcome {
        match self {
            Self::Policy(policy) => policy.evaluate(candidate).await,
            Self::Config(loaded) => {
                let pipeline = loaded.pipeline(candidate.action);
                let evaluation = pipeline.evaluate(candidate).await;
                Ok(match evaluation.decision.outcome {
                    // Only updates have lanes.
                    DecisionOutcome::Proceed { lane } => PolicyDecision::Proceed(
                        Some(pipeline.lane_name(lane).to_owned()).filter(|lane| !lane.is_empty()),
                    ),
                    DecisionOutcome::Skip { reason } => PolicyDecision::Skip(reason),
                    DecisionOutcome::Hold { until, reason, lane } => {
                        let lane = lane.map(|lane| pipeline.lane_name(lane).to_owned());
                        PolicyDecision::Hold { until, reason, lane }
                    }
                })
            }
        }
    }
}

fn describe_file(path: &Path, results: &[Result<(), FailedCase>]) -> String {
    let failed = results.iter().filter(|result| result.is_err()).count();
    let mut text = match failed {
        0 => format!("{}: {} ok\n", path.display(), count(results.len(), "case")),
        _ => format!("{}: {failed} of {} failed\n", path.display(), count(results.len(), "case")),
    };
    for wrong in results.iter().filter_map(|result| result.as_ref().err()) {
        let (name, line) = (printable(&wrong.name), wrong.line);
        text += &format!("\n  {name}  ({}:{line})\n", path.display());
        text += &format!("    expected  {}\n", printable(&wrong.expected));
        text += &format!("    got       {}\n", printable(&wrong.actual));
    }
    if failed > 0 {
        text.push('\n');
    }
    text
}
