//! Account Factory: the product, its artifact, the launch path, and who may launch it.

use super::{
    Caller, Check, Fact, Finding, Portfolio, Principal, ProductFacts, ReadFailure,
    ReadFailureReason, list,
};
use crate::catalog::{LaunchPathSummary, launch_paths_of};
use crate::config::Config;

pub(super) fn evaluate(
    config: &Config,
    caller: Option<&Caller>,
    product: &Fact<ProductFacts>,
) -> Vec<Finding> {
    let product = match product {
        Ok(product) => product,
        Err(read_failure) => return no_product(config, read_failure),
    };
    let artifact = match &product.artifact {
        Ok(Some((id, name))) => {
            Finding::ok(Check::Artifact, format!("newest active: {id} ({name})"))
        }
        Ok(None) => Finding::failed(
            Check::Artifact,
            "the product has no active artifact",
            "see the product's versions in the Service Catalog console: Control Tower keeps one \
             active; updating the landing zone makes one",
        ),
        Err(read_failure) => read_failure.required_finding(Check::Artifact),
    };
    let name = &config.account_factory.product_name;
    vec![
        Finding::ok(Check::Product, format!("{} ({name})", product.id)),
        artifact,
        launch_path(config, &product.paths).downgraded_without_updates(config),
        portfolio(config, caller, product).downgraded_without_updates(config),
    ]
}

fn no_product(config: &Config, read_failure: &ReadFailure) -> Vec<Finding> {
    let name = &config.account_factory.product_name;
    let product = match read_failure.reason {
        ReadFailureReason::Absent => Finding::failed(
            Check::Product,
            format!("no product is named \"{name}\""),
            "set account_factory.product_name to the name that the Service Catalog console shows, \
             and call from Control Tower's management account and home Region",
        ),
        _ => read_failure.required_finding(Check::Product),
    };
    let without =
        |check| Finding::unknown(check, "not checked without the product", "see the product");
    vec![product, without(Check::Artifact), without(Check::LaunchPath), without(Check::Portfolio)]
}

fn launch_path(config: &Config, paths: &Fact<Vec<LaunchPathSummary>>) -> Finding {
    const CHECK: Check = Check::LaunchPath;
    let factory = &config.account_factory;
    let paths = match paths {
        Ok(paths) => paths,
        Err(read_failure) => return read_failure.required_finding(CHECK),
    };
    let ids = |paths: &[LaunchPathSummary]| {
        list(&paths.iter().map(|path| path.id.as_str()).collect::<Vec<_>>())
    };
    if paths.is_empty() {
        return Finding::failed(
            CHECK,
            "none leads to the product for this caller",
            "associate the caller with the portfolio: see there",
        );
    }
    if let Some(given) = &factory.launch_path {
        return match paths.iter().any(|path| path.id == *given) {
            true => Finding::ok(CHECK, format!("{given}, as the config has it")),
            false => Finding::failed(
                CHECK,
                format!("{given}, which the config has, is none of the caller's"),
                format!("take account_factory.launch_path out, or set it to {}", ids(paths)),
            ),
        };
    }
    match launch_paths_of(paths.clone(), &factory.portfolio_name).as_slice() {
        [path] => Finding::ok(CHECK, path.id.to_string()),
        several => Finding::failed(
            CHECK,
            format!("{} lead to the product, and it is unclear which to take", ids(several)),
            format!(
                "set account_factory.launch_path to one of them, or account_factory.portfolio_name \
                 to the name of one portfolio: {}",
                list(&several.iter().filter_map(|path| path.portfolio.clone()).collect::<Vec<_>>())
            ),
        ),
    }
}

fn portfolio(config: &Config, caller: Option<&Caller>, product: &ProductFacts) -> Finding {
    const CHECK: Check = Check::Portfolio;
    let portfolios = match &product.portfolios {
        Ok(portfolios) => portfolios,
        Err(read_failure) => return read_failure.optional_finding(CHECK),
    };
    // The portfolio that the config names, or the only one.
    let name = &config.account_factory.portfolio_name;
    let named = portfolios.iter().find(|portfolio| portfolio.name == *name);
    let portfolio = match (named, portfolios.as_slice()) {
        (Some(portfolio), _) | (None, [portfolio]) => portfolio,
        (None, []) => {
            return Finding::failed(
                CHECK,
                "the product is in no portfolio",
                "repair the landing zone in the Control Tower console: Account Factory comes with \
                 a portfolio",
            );
        }
        (None, several) => {
            let names: Vec<&str> = several.iter().map(|one| one.name.as_str()).collect();
            return Finding::failed(
                CHECK,
                format!("the product is in none named \"{name}\""),
                format!("set account_factory.portfolio_name to one of {}", list(&names)),
            );
        }
    };
    let principals = match &portfolio.principals {
        Ok(principals) => principals,
        Err(read_failure) => return read_failure.optional_finding(CHECK),
    };
    let Some(caller) = caller else {
        return Finding::unknown(CHECK, "who calls is not known", "see the credentials");
    };
    association(caller, portfolio, principals, product)
}

fn association(
    caller: &Caller,
    portfolio: &Portfolio,
    principals: &[Principal],
    product: &ProductFacts,
) -> Finding {
    const CHECK: Check = Check::Portfolio;
    let Portfolio { id, name, .. } = portfolio;
    let who = caller.name();
    let is = |principal: &&Principal| caller.is(principal) == Some(true);
    if let Some(principal) = principals.iter().find(is) {
        return Finding::ok(
            CHECK,
            match principal.pattern {
                true => format!("{id} ({name}) is shared with {who}, by {}", principal.arn),
                false => format!("{id} ({name}) is shared with {who}"),
            },
        );
    }
    let fix = format!(
        "associate it, with the role's path where it has one: aws servicecatalog \
         associate-principal-with-portfolio --portfolio-id {id} --principal-type IAM \
         --principal-arn {}",
        caller.principal_arn()
    );
    // A caller with a launch path has access, perhaps through a group or another portfolio.
    let has_path = product.paths.as_ref().is_ok_and(|paths| !paths.is_empty());
    let unsure = principals.iter().any(|principal| caller.is(principal).is_none());
    match has_path || unsure {
        true => Finding::unknown(
            CHECK,
            format!(
                "{who} is not among the principals of {id} ({name}), and may be a member of one"
            ),
            format!("if the launch path is missing: {fix}"),
        ),
        false => Finding::failed(CHECK, format!("{id} ({name}) is not shared with {who}"), fix),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;
    use crate::catalog::{ArtifactId, LaunchPathId, ProductId};
    use rstest::rstest;

    const NAME: &str = "AWS Control Tower Account Factory Portfolio";
    const ROLE: &str = "arn:aws:iam::111122223333:role/crew";

    fn path(id: &str, portfolio: &str) -> LaunchPathSummary {
        LaunchPathSummary { id: LaunchPathId::new(id), portfolio: Some(portfolio.into()) }
    }

    fn product(paths: Vec<LaunchPathSummary>, portfolios: &[(&str, Vec<&str>)]) -> ProductFacts {
        let portfolios = portfolios
            .iter()
            .map(|(name, principals)| Portfolio {
                id: "port-1".into(),
                name: (*name).to_owned(),
                principals: Ok(principals
                    .iter()
                    .map(|arn| Principal { arn: (*arn).to_owned(), pattern: false })
                    .collect()),
            })
            .collect();
        ProductFacts {
            id: ProductId::new("prod-1"),
            artifact: Ok(Some((ArtifactId::new("pa-1"), "Version 1".into()))),
            paths: Ok(paths),
            portfolios: Ok(portfolios),
        }
    }

    fn of(check: Check, config: &str, product: ProductFacts) -> Finding {
        let queue = "\n[queues]\nupdates_url = \"https://sqs.us-east-1.amazonaws.com/1/u.fifo\"\n";
        let config = Config::parse("c", &format!("{config}{queue}")).unwrap();
        let caller = Caller {
            account: "111122223333".into(),
            arn: "arn:aws:sts::111122223333:assumed-role/crew/s".into(),
        };
        let mut findings = evaluate(&config, Some(&caller), &Ok(product));
        findings.retain(|finding| finding.check == check);
        findings.remove(0)
    }

    #[rstest]
    #[case("", &[path("p1", NAME)], Status::Ok, "p1")]
    #[case("", &[path("p1", "Mine")], Status::Ok, "p1")]
    #[case("", &[path("p1", NAME), path("p2", "Mine")], Status::Ok, "p1")]
    #[case("", &[path("p1", "Yours"), path("p2", "Mine")], Status::Failed, "p1 and p2 lead")]
    #[case("", &[], Status::Failed, "none leads")]
    #[case("[account_factory]\nlaunch_path = \"p2\"", &[path("p1", NAME), path("p2", NAME)], Status::Ok, "p2")]
    #[case("[account_factory]\nlaunch_path = \"p3\"", &[path("p1", NAME)], Status::Failed, "p3, which")]
    fn one_launch_path_is_taken(
        #[case] config: &str,
        #[case] paths: &[LaunchPathSummary],
        #[case] status: Status,
        #[case] found: &str,
    ) {
        let product = product(paths.to_vec(), &[(NAME, vec![ROLE])]);
        let finding = of(Check::LaunchPath, config, product);
        assert_eq!(finding.status, status, "{finding:?}");
        assert!(finding.found.contains(found), "{finding:?}");
    }

    #[rstest]
    #[case(&[(NAME, vec![ROLE])], &[path("p1", NAME)], Status::Ok, "is shared with role crew")]
    #[case(&[("Mine", vec![ROLE])], &[path("p1", "Mine")], Status::Ok, "(Mine) is shared")]
    #[case(&[(NAME, vec![])], &[], Status::Failed, "is not shared with role crew")]
    #[case(&[(NAME, vec![])], &[path("p1", NAME)], Status::Unknown, "not among the principals")]
    #[case(&[], &[], Status::Failed, "in no portfolio")]
    #[case(&[("A", vec![]), ("B", vec![])], &[], Status::Failed, "in none named")]
    fn the_caller_is_associated(
        #[case] portfolios: &[(&str, Vec<&str>)],
        #[case] paths: &[LaunchPathSummary],
        #[case] status: Status,
        #[case] found: &str,
    ) {
        let finding = of(Check::Portfolio, "", product(paths.to_vec(), portfolios));
        assert_eq!(finding.status, status, "{finding:?}");
        assert!(finding.found.contains(found), "{finding:?}");
    }

    #[test]
    fn the_fix_of_a_missing_association_can_be_pasted() {
        let fix = of(Check::Portfolio, "", product(Vec::new(), &[(NAME, vec![])])).fix.unwrap();
        assert!(fix.contains("--portfolio-id port-1 "), "{fix}");
        assert!(fix.ends_with("--principal-arn arn:aws:iam::111122223333:role/crew"), "{fix}");
    }

    #[test]
    fn without_updates_a_missing_launch_path_is_a_warning() {
        let config = Config::parse("c", "").unwrap();
        let findings = evaluate(&config, None, &Ok(product(Vec::new(), &[])));
        assert_eq!(findings[2].status, Status::Warning, "{findings:?}");
    }
}
