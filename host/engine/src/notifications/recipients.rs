//! The recipients of an event and their notifications: which were delivered already, and the
//! decisions of the policies.

use std::sync::Arc;

use futures_util::future::join_all;
use groundcrew_core::decision::{Action, Candidate, Cause};
use groundcrew_core::decision_combiner::DecisionOutcome;
use groundcrew_core::event::Event;
use groundcrew_core::no_delivery_reason::NoDeliveryReason;
use groundcrew_core::notification::{NotificationEntry, NotificationState};
use groundcrew_core::onboarding::{NotificationNeed, notification_need};
use groundcrew_core::ports::LedgerError;
use groundcrew_core::route::OncePer;
use jiff::Timestamp;

use super::subject::{NotificationSubject, ResolvedSubject};
use super::{ConfiguredNotifier, ConfiguredRoute, Delivery, DeliveryOutcome, Notifications};
use crate::{FailureHandling, PolicyPipeline};

/// A notifier that gets a notification, and its route.
#[derive(Clone, Copy)]
pub(super) struct Recipient<'o> {
    pub(super) notifier: &'o ConfiguredNotifier,
    pub(super) pipeline: &'o PolicyPipeline,
    /// How often it is notified of an account that was enrolled or updated, by that route.
    pub(super) once_per: OncePer,
    /// Its delivery was begun and has not ended: it was due, and stays due.
    pub(super) in_progress: bool,
    /// How often an operator has redriven it.
    pub(super) redriven: u32,
}

/// The decision of the policies.
enum PolicyAnswer {
    Deliver,
    /// Do not deliver it, or not yet.
    Skip(String),
    /// A policy failed.
    Failed(String),
}

impl Notifications {
    /// The recipients of an event, in the order of the config.
    pub(super) fn recipients(&self, event: &Event) -> Vec<Recipient<'_>> {
        let routes = || self.settings.routes.iter().zip(&self.pipelines);
        let mut matching: Vec<_> =
            routes().filter(|(route, _)| route.route.matches(event)).collect();
        // A route that names the event takes precedence.
        matching.sort_by_key(|(route, _)| !route.route.names_event(event));
        let notifiers = self.settings.notifiers.iter();
        notifiers.filter_map(|notifier| recipient(notifier, &matching)).collect()
    }

    /// Delivers to the recipients: to the gates first.
    pub(super) async fn deliver_all(
        &self,
        subject: NotificationSubject,
        event: Option<Arc<Event>>,
        recipients: &[Recipient<'_>],
        until: Option<Timestamp>,
    ) -> Vec<Delivery> {
        // The ledger is read first, since that is the cheapest call: most events are repeats or
        // routine updates. For a new account without policies, claiming the notification reads its
        // entry as well.
        let asks = recipients.iter().any(|recipient| !recipient.pipeline.is_empty());
        let claimed_at_once = subject.is_created() && !asks;
        let entries = async {
            join_all(recipients.iter().map(async |recipient| {
                let key = subject.key(&recipient.notifier.name);
                let entry = match claimed_at_once {
                    true => None,
                    false => self.ports.ledger.notification(&key).await.ok().flatten(),
                };
                let completed = |entry: &NotificationEntry| is_final(entry, recipient.redriven);
                let in_progress = entry.as_ref().is_some_and(|entry| !completed(entry));
                (Recipient { in_progress, ..*recipient }, entry.filter(completed))
            }))
            .await
        };
        let (entries, resolved) = match subject.is_created() {
            true => {
                let began = self.began(self.ports.clock.now());
                // If this read fails now, it is repeated when the value is needed.
                let resolved = self.resolve(subject.clone(), event.clone());
                let (entries, resolved, _) = tokio::join!(entries, resolved, began);
                (entries, Some(resolved))
            }
            false => (entries.await, None),
        };
        let all_completed = entries.iter().all(|(_, entry)| entry.is_some());
        let (mut open, mut deliveries) = (Vec::new(), Vec::new());
        for (recipient, entry) in entries {
            match entry {
                // The notifications after a gate need its decision.
                Some(entry) if all_completed || !recipient.notifier.gate => {
                    deliveries.push(subject.delivery(&recipient.notifier.name).with_entry(&entry));
                }
                _ => open.push(recipient),
            }
        }
        if open.is_empty() {
            return deliveries;
        }
        let resolved = match resolved {
            Some(resolved) => resolved,
            None => self.resolve(subject, event).await,
        };
        deliveries.extend(self.deliver_due(&resolved, &open, until).await);
        deliveries
    }

    /// Delivers the notifications that are due and not delivered yet, with the gates before them.
    pub(super) async fn deliver_due(
        &self,
        resolved: &ResolvedSubject,
        open: &[Recipient<'_>],
        until: Option<Timestamp>,
    ) -> Vec<Delivery> {
        let delivery =
            |recipient: &Recipient<'_>| resolved.subject.delivery(&recipient.notifier.name);
        let fail = |recipients: &[Recipient<'_>], error: &str| -> Vec<Delivery> {
            recipients.iter().map(|recipient| delivery(recipient).failed(error)).collect()
        };
        let need = match self.notification_need(&resolved.subject, resolved.joined()).await {
            Ok(need) => need,
            Err(error) => return fail(open, &error.to_string()),
        };
        let closed = resolved.closed_state();
        let (due_now, rest) = match need {
            NotificationNeed::Deliver if closed.is_none() => (open.to_vec(), Vec::new()),
            _ => partition_in_progress(open),
        };
        let mut all = self.deliver_through_gates(resolved, &due_now, until).await;
        if let Some(state) = closed {
            let why = format!("the account is closed ({state})");
            let skipped = rest.iter().map(|recipient| {
                delivery(recipient)
                    .with_outcome(DeliveryOutcome::Skipped)
                    .with_rule(NoDeliveryReason::Closed)
                    .with_detail(&why)
            });
            all.extend(skipped);
            return all;
        }
        all.extend(match need {
            NotificationNeed::Deliver | NotificationNeed::Nothing => Vec::new(),
            NotificationNeed::Unknown => fail(&rest, &format!(
                "an update or a baseline does not show whether the account is new, and groundcrew \
                 can't look up in AWS Organizations when it joined: {}. Allow this host \
                 organizations:DescribeAccount, or leave its event out of `on` and of routes",
                resolved.lookup_error.as_deref().unwrap_or("it has no date")
            )),
            NotificationNeed::Suppress => {
                join_all(rest.iter().map(|recipient| self.suppress(resolved, recipient.notifier))).await
            }
        });
        all
    }

    /// Whether an account that was enrolled needs a notification. Any other event always does.
    pub(super) async fn notification_need(
        &self,
        subject: &NotificationSubject,
        joined: Option<Timestamp>,
    ) -> Result<NotificationNeed, LedgerError> {
        let NotificationSubject::Onboarding(_, found) = subject else {
            return Ok(NotificationNeed::Deliver);
        };
        let now = self.ports.clock.now();
        let began = self.began(now).await?;
        Ok(notification_need(*found, joined, began, now, self.settings.lookback))
    }

    /// Evaluates the policies of each route, and delivers the notifications that they allow.
    pub(super) async fn evaluate_and_deliver(
        &self,
        resolved: &ResolvedSubject,
        recipients: &[Recipient<'_>],
        annotations: &[String],
        until: Option<Timestamp>,
    ) -> Vec<Delivery> {
        let delivery =
            |recipient: &Recipient<'_>| resolved.subject.delivery(&recipient.notifier.name);
        let mut pipelines: Vec<&PolicyPipeline> = Vec::new();
        for recipient in recipients {
            if !pipelines.iter().any(|pipeline| std::ptr::eq(*pipeline, recipient.pipeline)) {
                pipelines.push(recipient.pipeline);
            }
        }
        let by_pipeline = pipelines.into_iter().map(async |pipeline| {
            let answer = self.evaluate_policies(resolved, pipeline).await;
            let of_pipeline = recipients.iter().filter(|one| std::ptr::eq(one.pipeline, pipeline));
            let due_now = of_pipeline.map(async |recipient| match &answer {
                PolicyAnswer::Deliver => {
                    self.deliver(resolved, *recipient, annotations, until).await
                }
                PolicyAnswer::Skip(reason) => delivery(recipient)
                    .with_outcome(DeliveryOutcome::Skipped)
                    .with_rule(NoDeliveryReason::Policy)
                    .with_detail(reason),
                PolicyAnswer::Failed(error) => delivery(recipient).failed(error),
            });
            join_all(due_now).await
        });
        join_all(by_pipeline).await.into_iter().flatten().collect()
    }

    /// Records that an account needs no notification.
    async fn suppress(
        &self,
        resolved: &ResolvedSubject,
        notifier: &ConfiguredNotifier,
    ) -> Delivery {
        let delivery = resolved.subject.delivery(&notifier.name);
        let entry = NotificationEntry {
            account: delivery.account.clone(),
            notifier: notifier.name.clone(),
            state: NotificationState::Suppressed,
            attempts: 0,
            changed_at: self.ports.clock.now(),
        };
        match self.ports.ledger.insert_if_absent(&delivery.key, &entry).await {
            Ok(_) => delivery.with_entry(&entry),
            Err(error) => delivery.failed(error.to_string()),
        }
    }

    /// Evaluates the policies of a route. They decide about accounts only.
    async fn evaluate_policies(
        &self,
        resolved: &ResolvedSubject,
        pipeline: &PolicyPipeline,
    ) -> PolicyAnswer {
        let Some(account) = &resolved.account else { return PolicyAnswer::Deliver };
        let candidate = Candidate {
            action: Action::Onboard,
            cause: Cause::Lifecycle,
            account: account.clone(),
            tags: resolved.tags.clone(),
            product: None,
            event: resolved.event.clone(),
            now: self.ports.clock.now(),
        };
        let evaluation = pipeline.evaluate(&candidate).await;
        let failed = evaluation
            .failures()
            .find(|(policy, _)| !policy.monitored && policy.on_failure == FailureHandling::Retry);
        if let Some((_, failure)) = failed {
            // A lost notification is worse than a late one.
            return PolicyAnswer::Failed(failure.to_string());
        }
        let by = evaluation.decision.policy.as_deref().unwrap_or("default");
        match evaluation.decision.outcome {
            DecisionOutcome::Proceed { .. } => PolicyAnswer::Deliver,
            DecisionOutcome::Skip { reason } => {
                PolicyAnswer::Skip(format!("policy `{by}`: {reason}"))
            }
            DecisionOutcome::Hold { until, reason, .. } => {
                PolicyAnswer::Skip(format!("policy `{by}` holds it until {until}: {reason}"))
            }
        }
    }
}

/// The notifier as a recipient, if a matching route names it: the first such route counts.
fn recipient<'o>(
    notifier: &'o ConfiguredNotifier,
    matching: &[(&'o ConfiguredRoute, &'o PolicyPipeline)],
) -> Option<Recipient<'o>> {
    let names = |route: &ConfiguredRoute| route.route.notifiers.contains(&notifier.name);
    let (route, pipeline) = matching.iter().find(|(route, _)| names(route))?;
    Some(Recipient {
        notifier,
        pipeline,
        once_per: route.route.once_per,
        in_progress: false,
        redriven: 0,
    })
}

/// Splits the recipients of an event. If an account was enrolled or updated, some are notified once
/// for each account, and the others once for each event. A gate is called before both.
pub(super) fn split_by_once_per<'o>(
    subject: NotificationSubject,
    event: &Arc<Event>,
    recipients: Vec<Recipient<'o>>,
) -> Vec<(NotificationSubject, Vec<Recipient<'o>>)> {
    let each = |one: &Recipient<'_>| one.once_per == OncePer::Event;
    if !subject.is_onboarding() || !recipients.iter().any(each) {
        return vec![(subject, recipients)];
    }
    let event_subject = subject.as_event(event);
    let mut parts = Vec::new();
    for (subject, once_per) in [(subject, OncePer::Account), (event_subject, OncePer::Event)] {
        let is_of = |one: &Recipient<'_>| one.once_per == once_per;
        let asks = recipients.iter().any(|one| is_of(one) && !one.notifier.gate);
        let part = recipients.iter().filter(|one| is_of(one) || asks && one.notifier.gate);
        let part: Vec<_> = part.copied().collect();
        if !part.is_empty() {
            parts.push((subject, part));
        }
    }
    parts
}

/// Splits recipients that have no new notification due. The first part are those whose delivery was
/// begun, those that wait for a gate whose delivery was begun, and the gates before them. The
/// second part is the rest.
fn partition_in_progress<'o>(open: &[Recipient<'o>]) -> (Vec<Recipient<'o>>, Vec<Recipient<'o>>) {
    let all_wait = open.iter().any(|one| one.in_progress && one.notifier.gate);
    let any = open.iter().any(|one| one.in_progress);
    let stays = |one: &Recipient<'_>| one.in_progress || all_wait || any && one.notifier.gate;
    open.iter().copied().partition(stays)
}

/// Whether nothing is left to do about a notification that was redriven so often.
pub(super) fn is_final(entry: &NotificationEntry, redriven: u32) -> bool {
    match &entry.state {
        NotificationState::Delivered { .. } | NotificationState::Suppressed => true,
        NotificationState::Failed { for_good: Some(last), .. } => redriven <= *last,
        _ => false,
    }
}
