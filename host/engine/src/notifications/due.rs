//! What is due to those who listen: who was told already, what the policies say, and the gates,
//! which are asked before the others.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use groundcrew_core::decision::{Action, Candidate, Cause};
use groundcrew_core::event::Event;
use groundcrew_core::notification::{NotificationEntry, NotificationState, Verdict};
use groundcrew_core::onboarding::{Due, due};
use groundcrew_core::pipeline::Outcome;
use groundcrew_core::ports::LedgerError;
use groundcrew_core::route::OncePer;
use groundcrew_core::rule::Rule;
use jiff::Timestamp;

use super::subject::{Matter, Subject};
use super::{ConfiguredNotifier, ConfiguredRoute, Notifications, Told, ToldOutcome};
use crate::{OnFailure, Panel};

/// A notifier that is to be told, and the route by which.
#[derive(Clone, Copy)]
pub(super) struct Listener<'o> {
    pub(super) notifier: &'o ConfiguredNotifier,
    pub(super) panel: &'o Panel,
    /// How often it is told of an account that landed or was updated, as that route says.
    pub(super) once_per: OncePer,
    /// Telling it was begun and has not come to an end: it was due, and stays so.
    pub(super) begun: bool,
    /// How often a person has had this told again.
    pub(super) redriven: u32,
}

/// What the policies say.
enum Asked {
    Go,
    /// It is not to be told, or not yet.
    Not(String),
    /// They can't be asked.
    Failed(String),
}

/// What the gates say.
enum Gates {
    Open {
        annotations: Vec<String>,
    },
    /// The others are not told.
    Stopped(String),
    /// The others are not told yet.
    Held {
        why: String,
        wait: Option<Duration>,
    },
}

impl Notifications {
    /// Who is to be told of an event, in the order of the config.
    pub(super) fn listeners(&self, event: &Event) -> Vec<Listener<'_>> {
        let routes = || self.settings.routes.iter().zip(&self.panels);
        let mut taken: Vec<_> = routes().filter(|(route, _)| route.route.takes(event)).collect();
        // Whoever asks for this event by its name has it so.
        taken.sort_by_key(|(route, _)| !route.route.names(event));
        let notifiers = self.settings.notifiers.iter();
        notifiers.filter_map(|notifier| listener(notifier, &taken)).collect()
    }

    /// Tells those who listen: the gates first.
    pub(super) async fn tell_all(
        &self,
        matter: Matter,
        event: Option<Arc<Event>>,
        listeners: &[Listener<'_>],
        until: Option<Timestamp>,
    ) -> Vec<Told> {
        // What the ledger knows is cheaper to ask than all else: most events are repeats or
        // routine updates. Where no policy is to be asked about a new account, claiming the
        // notification asks it as well.
        let asks = listeners.iter().any(|listener| !listener.panel.is_empty());
        let claimed_at_once = matter.is_created() && !asks;
        let entries = async {
            join_all(listeners.iter().map(async |listener| {
                let key = matter.key(&listener.notifier.name);
                let entry = match claimed_at_once {
                    true => None,
                    false => self.ports.ledger.notification(&key).await.ok().flatten(),
                };
                let settled = |entry: &NotificationEntry| is_settled(entry, listener.redriven);
                let begun = entry.as_ref().is_some_and(|entry| !settled(entry));
                (Listener { begun, ..*listener }, entry.filter(settled))
            }))
            .await
        };
        let (entries, subject) = match matter.is_created() {
            true => {
                let began = self.began(self.ports.clock.now());
                // One that fails now is asked for again when it is needed.
                let subject = self.subject(matter.clone(), event.clone());
                let (entries, subject, _) = tokio::join!(entries, subject, began);
                (entries, Some(subject))
            }
            false => (entries.await, None),
        };
        let all_settled = entries.iter().all(|(_, entry)| entry.is_some());
        let (mut open, mut told) = (Vec::new(), Vec::new());
        for (listener, entry) in entries {
            match entry {
                // What a gate has said is asked for by those that come after it.
                Some(entry) if all_settled || !listener.notifier.gate => {
                    told.push(matter.told(&listener.notifier.name).settled(&entry));
                }
                _ => open.push(listener),
            }
        }
        if open.is_empty() {
            return told;
        }
        let subject = match subject {
            Some(subject) => subject,
            None => self.subject(matter, event).await,
        };
        told.extend(self.tell_open(&subject, &open, until).await);
        told
    }

    /// Does what is due to those that were not told yet, and to the gates before them.
    pub(super) async fn tell_open(
        &self,
        subject: &Subject,
        open: &[Listener<'_>],
        until: Option<Timestamp>,
    ) -> Vec<Told> {
        let told = |listener: &Listener<'_>| subject.matter.told(&listener.notifier.name);
        let fail = |listeners: &[Listener<'_>], error: &str| -> Vec<Told> {
            listeners.iter().map(|listener| told(listener).failed(error)).collect()
        };
        let due = match self.due(&subject.matter, subject.joined()).await {
            Ok(due) => due,
            Err(error) => return fail(open, &error.to_string()),
        };
        let closed = subject.closed();
        let (tell, rest) = match due {
            Due::Tell if closed.is_none() => (open.to_vec(), Vec::new()),
            _ => begun(open),
        };
        let mut all = self.tell_behind_gates(subject, &tell, until).await;
        if let Some(state) = closed {
            let why = format!("the account is closed ({state})");
            let skipped = rest.iter().map(|listener| {
                told(listener).now(ToldOutcome::Skipped).by(Rule::Closed).because(&why)
            });
            all.extend(skipped);
            return all;
        }
        all.extend(match due {
            Due::Tell | Due::Nothing => Vec::new(),
            Due::Unknown => fail(&rest, &format!(
                "an update or a baseline of the account does not tell whether it is new, and when it joined can't \
                 be looked up in AWS Organizations: {}. Allow this host \
                 organizations:DescribeAccount, or leave its event out of `on` and of routes",
                subject.trouble.as_deref().unwrap_or("it has no date")
            )),
            Due::Record => {
                join_all(rest.iter().map(|listener| self.record(subject, listener.notifier))).await
            }
        });
        all
    }

    /// Asks the gates, and tells the others if those let them.
    async fn tell_behind_gates(
        &self,
        subject: &Subject,
        listeners: &[Listener<'_>],
        until: Option<Timestamp>,
    ) -> Vec<Told> {
        let told = |listener: &Listener<'_>| subject.matter.told(&listener.notifier.name);
        let (gates, others): (Vec<_>, Vec<_>) =
            listeners.iter().copied().partition(|listener| listener.notifier.gate);
        let mut all = self.ask_and_tell(subject, &gates, &[], until).await;
        let rest = match verdict(&all, self.ports.clock.now()) {
            Gates::Open { annotations } => {
                self.ask_and_tell(subject, &others, &annotations, until).await
            }
            Gates::Stopped(why) => others
                .iter()
                .map(|other| told(other).now(ToldOutcome::Skipped).by(Rule::Gate).because(&why))
                .collect(),
            Gates::Held { why, wait } => others
                .iter()
                .map(|other| Told {
                    retry_after: wait,
                    ..told(other).now(ToldOutcome::Held).by(Rule::Gate).because(&why)
                })
                .collect(),
        };
        all.extend(rest);
        all
    }

    /// What is due to an account that has landed; of any other event whoever listens is told.
    pub(super) async fn due(
        &self,
        matter: &Matter,
        joined: Option<Timestamp>,
    ) -> Result<Due, LedgerError> {
        let Matter::Landed(_, found) = matter else { return Ok(Due::Tell) };
        let now = self.ports.clock.now();
        let began = self.began(now).await?;
        Ok(due(*found, joined, began, now, self.settings.lookback))
    }

    /// Asks the policies of each route, and tells whom they let through.
    async fn ask_and_tell(
        &self,
        subject: &Subject,
        listeners: &[Listener<'_>],
        annotations: &[String],
        until: Option<Timestamp>,
    ) -> Vec<Told> {
        let told = |listener: &Listener<'_>| subject.matter.told(&listener.notifier.name);
        let mut panels: Vec<&Panel> = Vec::new();
        for listener in listeners {
            if !panels.iter().any(|panel| std::ptr::eq(*panel, listener.panel)) {
                panels.push(listener.panel);
            }
        }
        let by_panel = panels.into_iter().map(async |panel| {
            let asked = self.ask(subject, panel).await;
            let of_panel = listeners.iter().filter(|one| std::ptr::eq(one.panel, panel));
            let tell = of_panel.map(async |listener| match &asked {
                Asked::Go => self.tell(subject, *listener, annotations, until).await,
                Asked::Not(reason) => {
                    told(listener).now(ToldOutcome::Skipped).by(Rule::Policy).because(reason)
                }
                Asked::Failed(error) => told(listener).failed(error),
            });
            join_all(tell).await
        });
        join_all(by_panel).await.into_iter().flatten().collect()
    }

    /// Writes down that an account is not to be told.
    async fn record(&self, subject: &Subject, notifier: &ConfiguredNotifier) -> Told {
        let told = subject.matter.told(&notifier.name);
        let entry = NotificationEntry {
            account: told.account.clone(),
            notifier: notifier.name.clone(),
            state: NotificationState::Recorded,
            attempts: 0,
            changed_at: self.ports.clock.now(),
        };
        match self.ports.ledger.record(&told.key, &entry).await {
            Ok(_) => told.settled(&entry),
            Err(error) => told.failed(error.to_string()),
        }
    }

    /// Asks the policies of a route. They know accounts only.
    async fn ask(&self, subject: &Subject, panel: &Panel) -> Asked {
        let Some(account) = &subject.account else { return Asked::Go };
        let candidate = Candidate {
            action: Action::Onboard,
            cause: Cause::Lifecycle,
            account: account.clone(),
            tags: subject.tags.clone(),
            product: None,
            event: subject.event.clone(),
            now: self.ports.clock.now(),
        };
        let heard = panel.hear(&candidate).await;
        let failed = heard
            .failures()
            .find(|(asked, _)| !asked.monitored && asked.on_failure == OnFailure::Retry);
        if let Some((_, failure)) = failed {
            // A lost onboarding is worse than a late one.
            return Asked::Failed(failure.to_string());
        }
        let by = heard.decision.policy.as_deref().unwrap_or("default");
        match heard.decision.outcome {
            Outcome::Proceed { .. } => Asked::Go,
            Outcome::Skip { reason } => Asked::Not(format!("policy `{by}`: {reason}")),
            Outcome::Hold { until, reason, .. } => {
                Asked::Not(format!("policy `{by}` holds it until {until}: {reason}"))
            }
        }
    }
}

/// The notifier, if one of the routes that an event takes names it: the first counts.
fn listener<'o>(
    notifier: &'o ConfiguredNotifier,
    taken: &[(&'o ConfiguredRoute, &'o Panel)],
) -> Option<Listener<'o>> {
    let names = |route: &ConfiguredRoute| route.route.notifiers.contains(&notifier.name);
    let (route, panel) = taken.iter().find(|(route, _)| names(route))?;
    Some(Listener { notifier, panel, once_per: route.route.once_per, begun: false, redriven: 0 })
}

/// What is told of an event, and to whom: of an account that landed or was updated, those who are
/// told once for each account, and those who are told of each event. A gate is asked before both.
pub(super) fn parts<'o>(
    matter: Matter,
    event: &Arc<Event>,
    listeners: Vec<Listener<'o>>,
) -> Vec<(Matter, Vec<Listener<'o>>)> {
    let each = |one: &Listener<'_>| one.once_per == OncePer::Event;
    if !matter.is_landed() || !listeners.iter().any(each) {
        return vec![(matter, listeners)];
    }
    let of_event = matter.of_event(event);
    let mut parts = Vec::new();
    for (matter, once_per) in [(matter, OncePer::Account), (of_event, OncePer::Event)] {
        let is_of = |one: &Listener<'_>| one.once_per == once_per;
        let asks = listeners.iter().any(|one| is_of(one) && !one.notifier.gate);
        let part = listeners.iter().filter(|one| is_of(one) || asks && one.notifier.gate);
        let part: Vec<_> = part.copied().collect();
        if !part.is_empty() {
            parts.push((matter, part));
        }
    }
    parts
}

/// Of those that nothing else is due to: whom telling was begun with, those that wait for a gate
/// that was begun with, and the gates before them; and the rest.
fn begun<'o>(open: &[Listener<'o>]) -> (Vec<Listener<'o>>, Vec<Listener<'o>>) {
    let all_wait = open.iter().any(|one| one.begun && one.notifier.gate);
    let any = open.iter().any(|one| one.begun);
    let stays = |one: &Listener<'_>| one.begun || all_wait || any && one.notifier.gate;
    open.iter().copied().partition(stays)
}

/// Whether nothing is to be done about a notification that was redriven so often.
pub(super) fn is_settled(entry: &NotificationEntry, redriven: u32) -> bool {
    match &entry.state {
        NotificationState::Told { .. } | NotificationState::Recorded => true,
        NotificationState::Failed { for_good: Some(last), .. } => redriven <= *last,
        _ => false,
    }
}

/// What the gates say together: whoever stops wins, then whoever holds.
fn verdict(gates: &[Told], now: Timestamp) -> Gates {
    let mut annotations = Vec::new();
    let mut held = None;
    for gate in gates {
        let name = &gate.notifier;
        match (&gate.verdict, gate.outcome) {
            (Verdict::Stop { reason }, _) => {
                return Gates::Stopped(format!("gate `{name}`: {reason}"));
            }
            (Verdict::Hold { until, reason }, _) => {
                let wait = Duration::try_from(*until - now).unwrap_or_default();
                let why = format!("gate `{name}` holds it until {until}: {reason}");
                held = Some(Gates::Held { why, wait: Some(wait) });
            }
            (_, ToldOutcome::Failed) => {
                let detail = gate.detail.as_deref().unwrap_or_default();
                let why = format!("gate `{name}` has not answered: {detail}");
                held.get_or_insert(Gates::Held { why, wait: None });
            }
            (Verdict::Annotate { annotations: lines }, _) => annotations.extend(lines.clone()),
            (Verdict::Go, _) => {}
        }
    }
    held.unwrap_or(Gates::Open { annotations })
}

#[cfg(test)]
mod tests {
    use super::*;
    use groundcrew_core::notification::NotificationKey;
    use rstest::rstest;

    fn at(second: i64) -> Timestamp {
        Timestamp::constant(1_700_000_000 + second, 0)
    }

    fn gate(outcome: ToldOutcome, verdict: Verdict) -> Told {
        let account = "111122223333".parse().unwrap();
        let key = NotificationKey::onboard(&account, "gate");
        let told = Told::of("gate", key, "account".into(), Some(account));
        Told { verdict, detail: Some("down".into()), ..told.now(outcome) }
    }

    fn note(text: &str) -> Told {
        gate(ToldOutcome::Told, Verdict::Annotate { annotations: vec![text.into()] })
    }

    fn hold() -> Told {
        gate(ToldOutcome::Held, Verdict::Hold { until: at(60), reason: "no owner".into() })
    }

    fn stop() -> Told {
        gate(ToldOutcome::AlreadyTold, Verdict::Stop { reason: "wrong OU".into() })
    }

    #[rstest]
    #[case::none(vec![], "open []")]
    #[case::go(vec![gate(ToldOutcome::Told, Verdict::Go)], "open []")]
    #[case::notes(vec![note("a"), note("b")], "open [\"a\", \"b\"]")]
    #[case::stop(vec![note("a"), hold(), stop()], "stopped: gate `gate`: wrong OU")]
    #[case::hold(
        vec![note("a"), gate(ToldOutcome::Failed, Verdict::Go), hold()],
        "held 60: gate `gate` holds it until 2023-11-14T22:14:20Z: no owner"
    )]
    #[case::no_answer(
        vec![gate(ToldOutcome::Failed, Verdict::Go), note("a")],
        "held later: gate `gate` has not answered: down"
    )]
    fn verdicts(#[case] gates: Vec<Told>, #[case] expected: &str) {
        let said = match verdict(&gates, at(0)) {
            Gates::Open { annotations } => format!("open {annotations:?}"),
            Gates::Stopped(why) => format!("stopped: {why}"),
            Gates::Held { why, wait: Some(wait) } => format!("held {}: {why}", wait.as_secs()),
            Gates::Held { why, wait: None } => format!("held later: {why}"),
        };
        assert_eq!(said, expected);
    }
}
