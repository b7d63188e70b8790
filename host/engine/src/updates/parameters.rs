//! Reads the data from which the parameters of an update are rebuilt.

use groundcrew_core::account::Account;
use groundcrew_core::aws_error::{AwsError, ErrorClass};
use groundcrew_core::catalog::ProvisionedProduct;
use groundcrew_core::parameters::{Outputs, ParameterSource, Parameters, rebuild};
use groundcrew_core::start_failure::StartFailure;

use super::Updates;
use super::start::as_transient;

impl Updates {
    /// The parameters for an update of this account. A failed read is classified like every other
    /// read before a start.
    ///
    /// # Errors
    /// [`StartFailure::UnknownParameters`] when a parameter is unknown: the update must not be
    /// started.
    pub(super) async fn parameters(
        &self,
        account: &Account,
        product: &ProvisionedProduct,
    ) -> Result<Parameters, StartFailure> {
        if self.settings.parameters == ParameterSource::Previous {
            return Ok(Parameters::Previous);
        }
        let outputs = self.outputs(product).await.map_err(as_transient)?;
        let user = match outputs.sso_user_email() {
            Some(email) => self.ports.identities.user(email).await.map_err(as_transient)?,
            None => None,
        };
        Ok(Parameters::Rebuilt(rebuild(account, &outputs, user.as_ref())?))
    }

    /// The outputs of the last successful operation.
    async fn outputs(&self, product: &ProvisionedProduct) -> Result<Outputs, AwsError> {
        let Some(record) = &product.last_successful_record else {
            return Ok(Outputs::NeverSucceeded);
        };
        match self.ports.catalog.outputs(record).await {
            Ok(outputs) => Ok(Outputs::Found(record.clone(), outputs)),
            // This concerns one account only: other accounts must not wait for it.
            Err(error) if error.class == ErrorClass::NotFound => Ok(Outputs::Gone(record.clone())),
            Err(error) => Err(error),
        }
    }
}
