//! Random candidates, the same ones for the same seed.

use fastrand::Rng;
use groundcrew_sdk::{
    Account, Action, Candidate, Cause, Event, OrganizationalUnit, ProductStatus,
    ProvisionedProduct, Tag, Tags,
};

/// The years 2026 and 2027, with eight changes of the clocks in Berlin and New York.
const TIMES: std::ops::Range<i64> = 1_767_225_600..1_830_297_600;

const UNITS: [&str; 8] =
    ["Workloads", "Prod", "Dev", "Test", "Sandbox", "Suspended", "Pilots", "Straße 7"];
const NAMES: [&str; 6] =
    ["payments", "sandbox-7", "billing-legacy", "tmp-1", "näme 'quoted' & <more>", ""];
const TAGS: [(&str, &[&str]); 3] = [
    ("environment", &["prod", "dev", "test", "staging", "Prod", ""]),
    ("rollout", &["canary", "late"]),
    ("owner", &["payments", "a,b"]),
];

pub(super) fn candidates(seed: u64) -> impl Iterator<Item = Candidate> {
    let mut rng = Rng::with_seed(seed);
    std::iter::repeat_with(move || candidate(&mut rng))
}

fn candidate(rng: &mut Rng) -> Candidate {
    let now = match rng.u8(..4) {
        // On the hour, when windows begin and end.
        0 => rng.i64(TIMES) / 3600 * 3600,
        _ => rng.i64(TIMES),
    };
    Candidate {
        action: pick(rng, &[Action::Update, Action::Update, Action::Onboard, Action::Vend]),
        cause: pick(rng, &[Cause::Artifact, Cause::LandingZone, Cause::Lifecycle, Cause::Tainted]),
        account: account(rng, now),
        product: rng.bool().then(|| ProvisionedProduct {
            id: "pp-abcdefghijklm".to_owned(),
            name: "payments".to_owned(),
            status: pick(rng, &[ProductStatus::Available, ProductStatus::PlanInProgress]),
            artifact: "pa-1111111111111".to_owned(),
            target_artifact: "pa-2222222222222".to_owned(),
        }),
        event: (rng.u8(..4) == 0).then(|| Event {
            id: "event".to_owned(),
            name: "CreateManagedAccount".to_owned(),
            source: "aws.controltower".to_owned(),
            json: format!(r#"{{"detail": {{"n": {}, "list": [1.5, null, true]}}}}"#, rng.i32(..)),
        }),
        now,
    }
}

fn account(rng: &mut Rng, now: i64) -> Account {
    let mut units = UNITS.to_vec();
    rng.shuffle(&mut units);
    units.truncate(rng.usize(..4));
    let unit = |name: &str| OrganizationalUnit {
        id: format!("ou-{}", name.to_lowercase()),
        name: name.to_owned(),
    };
    let tags = match rng.u8(..6) {
        0 => Tags::Unreadable("AccessDeniedException: \"no\"".to_owned()),
        _ => Tags::Known(
            TAGS.iter()
                .filter_map(|(key, values)| {
                    let tag = Tag::new(*key, pick(rng, values));
                    rng.bool().then_some(tag)
                })
                .collect(),
        ),
    };
    Account {
        id: format!("{:012}", rng.u8(..20)),
        name: pick(rng, &NAMES).to_owned(),
        email: pick(rng, &["", "a@example.com"]).to_owned(),
        organizational_units: units.into_iter().map(unit).collect(),
        tags,
        joined: (rng.u8(..5) > 0).then(|| now - rng.i64(0..20 * 86_400)),
        state: groundcrew_sdk::AccountState::Active,
    }
}

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())]
}
