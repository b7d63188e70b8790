//! Onboarding against the simulated AWS through the real SDKs: one case for each account,
//! whatever is killed, lost or done twice. In virtual time.

mod auto_enrolment;
mod each_event;
mod events;
mod fixture;
mod for_good;
mod gates;
mod queue;
mod sweep;
