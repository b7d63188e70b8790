//! The Account Factory product, the principals that may launch it, and the OUs of its accounts.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_servicecatalog::types::PrincipalType;
use groundcrew_core::account::AccountId;
use groundcrew_core::catalog::ProductId;
use groundcrew_core::config::Config;
use groundcrew_core::doctor::{Fact, Portfolio, Principal, ProductFacts, UnitFacts};
use groundcrew_core::ports::{AccountDirectory as _, Catalog as _};

use super::{
    LISTING_TIMEOUT, READ_TIMEOUT, control_tower, failure_of_service, read_failure, with_timeout,
};
use crate::clients::Clients;
use crate::organizations::OrganizationsDirectory;
use crate::service_catalog::{LaunchPathSelector, ServiceCatalog};

/// The prefix of the permissions.
const SERVICE: &str = "servicecatalog";

/// The product and the OUs. The OUs are read only if there is a product, since the enrolled
/// accounts are found by it.
pub(super) async fn product_and_units(
    clients: &Clients,
    config: &Config,
) -> (Fact<ProductFacts>, Option<Fact<UnitFacts>>) {
    let factory = &config.account_factory;
    let catalog = ServiceCatalog::new(
        clients.service_catalog.clone(),
        &factory.product_name,
        LaunchPathSelector::ByPortfolio(factory.portfolio_name.clone()),
    );
    let found = async { catalog.product().await.map_err(failure_of_service(SERVICE)) };
    let id = match with_timeout(READ_TIMEOUT, SERVICE, "DescribeProductAsAdmin", found).await {
        Ok(id) => id,
        Err(read_failure) => return (Err(read_failure), None),
    };
    let (artifact, paths, portfolios, units) = tokio::join!(
        with_timeout(READ_TIMEOUT, SERVICE, "ListProvisioningArtifacts", async {
            catalog.newest_artifact(&id).await.map_err(failure_of_service(SERVICE))
        }),
        with_timeout(READ_TIMEOUT, SERVICE, "ListLaunchPaths", async {
            catalog.launch_paths(&id).await.map_err(failure_of_service(SERVICE))
        }),
        with_timeout(READ_TIMEOUT, SERVICE, "ListPortfoliosForProduct", portfolios(clients, &id)),
        with_timeout(
            LISTING_TIMEOUT,
            "organizations",
            "ListAccounts",
            units(clients, &catalog, &id)
        ),
    );
    (Ok(ProductFacts { id, artifact, paths, portfolios }), Some(units))
}

async fn portfolios(clients: &Clients, product: &ProductId) -> Fact<Vec<Portfolio>> {
    let (mut portfolios, mut next) = (Vec::new(), None);
    loop {
        let answer = clients
            .service_catalog
            .list_portfolios_for_product()
            .product_id(product.as_str())
            .set_page_token(next)
            .send()
            .await
            .map_err(read_failure(SERVICE, "ListPortfoliosForProduct"))?;
        for detail in answer.portfolio_details.unwrap_or_default() {
            let Some(id) = detail.id else { continue };
            portfolios.push(Portfolio {
                principals: principals(clients, &id).await,
                id,
                name: detail.display_name.unwrap_or_default(),
            });
        }
        next = answer.next_page_token;
        if next.is_none() {
            return Ok(portfolios);
        }
    }
}

async fn principals(clients: &Clients, portfolio: &str) -> Fact<Vec<Principal>> {
    let (mut principals, mut next) = (Vec::new(), None);
    loop {
        let answer = clients
            .service_catalog
            .list_principals_for_portfolio()
            .portfolio_id(portfolio)
            .set_page_token(next)
            .send()
            .await
            .map_err(read_failure(SERVICE, "ListPrincipalsForPortfolio"))?;
        principals.extend(answer.principals.unwrap_or_default().into_iter().filter_map(|found| {
            Some(Principal {
                arn: found.principal_arn?,
                pattern: found.principal_type == Some(PrincipalType::IamPattern),
            })
        }));
        next = answer.next_page_token;
        if next.is_none() {
            return Ok(principals);
        }
    }
}

async fn units(
    clients: &Clients,
    catalog: &ServiceCatalog,
    product: &ProductId,
) -> Fact<UnitFacts> {
    let directory = OrganizationsDirectory::new(clients.organizations.clone());
    let (registered, (enrolled, accounts)) =
        tokio::join!(control_tower::registered_ous(clients), async {
            tokio::join!(enrolled_accounts(catalog, product), accounts(&directory))
        });
    let enrolled = enrolled?;
    let mut units = UnitFacts { registered: registered?, ..UnitFacts::default() };
    for (account, ou_path) in accounts? {
        if !enrolled.contains(&account) {
            continue;
        }
        match ou_path.last() {
            None => units.under_root += 1,
            Some((id, _)) => {
                let names = || ou_path.iter().map(|(_, name)| name.clone()).collect();
                units.enrolled.entry(id.clone()).or_insert_with(|| (names(), 0)).1 += 1;
            }
        }
    }
    Ok(units)
}

/// The accounts that Account Factory has created or enrolled.
async fn enrolled_accounts(
    catalog: &ServiceCatalog,
    product: &ProductId,
) -> Fact<BTreeSet<AccountId>> {
    let (mut accounts, mut next) = (BTreeSet::new(), None);
    loop {
        let page = catalog
            .provisioned_products(product, next.as_deref())
            .await
            .map_err(failure_of_service(SERVICE))?;
        accounts.extend(page.items.into_iter().map(|product| product.account));
        next = page.next;
        if next.is_none() {
            return Ok(accounts);
        }
    }
}

/// Every account of the organization, with the ids and names of the OUs above it.
async fn accounts(
    directory: &OrganizationsDirectory,
) -> Fact<BTreeMap<AccountId, Vec<(String, String)>>> {
    let (mut accounts, mut next) = (BTreeMap::new(), None);
    loop {
        let page = directory
            .accounts(next.as_deref())
            .await
            .map_err(failure_of_service("organizations"))?;
        accounts.extend(page.items.into_iter().map(|account| {
            let units = account.organizational_units.iter();
            let ou_path = units.map(|unit| (unit.id.clone(), unit.name.clone())).collect();
            (account.id.clone(), ou_path)
        }));
        next = page.next;
        if next.is_none() {
            return Ok(accounts);
        }
    }
}
