//! Exports a [`Policy`](crate::Policy) or a [`Notifier`](crate::Notifier) as a plugin. In native
//! builds the macros expand to nothing, so that a plugin's crate can be tested like any other.

/// Exports a [`Policy`](crate::Policy) from the component.
#[macro_export]
macro_rules! policy {
    ($policy:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::bindings::decide::exports::groundcrew::plugin::decide;
            use $crate::bindings::settings::exports::groundcrew::plugin::settings;

            ::std::thread_local! {
                static INSTANCE: $crate::Instance<$policy> = const { $crate::Instance::new() };
            }

            struct Plugin;

            impl settings::Guest for Plugin {
                fn schema() -> ::std::string::String {
                    $crate::schema::<<$policy as $crate::Policy>::Settings>()
                }

                fn configure(
                    settings: ::std::string::String,
                    context: $crate::Context,
                ) -> ::core::result::Result<$crate::Metadata, ::std::vec::Vec<$crate::Problem>>
                {
                    INSTANCE.with(|instance| instance.configure_policy(&settings, &context))
                }
            }

            impl decide::Guest for Plugin {
                fn evaluate(
                    candidate: $crate::Candidate,
                ) -> ::core::result::Result<$crate::PolicyDecision, $crate::Failure> {
                    INSTANCE.with(|instance| instance.evaluate(&candidate))
                }
            }

            $crate::bindings::settings::export!(
                Plugin with_types_in $crate::bindings::settings
            );
    $crate::bindings::decide::export!(Plugin with_types_in $crate::bindings::decide);
        };
    };
}

/// Exports a [`Notifier`](crate::Notifier) from the component.
#[macro_export]
macro_rules! notifier {
    ($notifier:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::bindings::deliver::exports::groundcrew::plugin::deliver;
            use $crate::bindings::settings::exports::groundcrew::plugin::settings;

            ::std::thread_local! {
                static INSTANCE: $crate::Instance<$notifier> = const { $crate::Instance::new() };
            }

            struct Plugin;

            impl settings::Guest for Plugin {
                fn schema() -> ::std::string::String {
                    $crate::schema::<<$notifier as $crate::Notifier>::Settings>()
                }

                fn configure(
                    settings: ::std::string::String,
                    context: $crate::Context,
                ) -> ::core::result::Result<$crate::Metadata, ::std::vec::Vec<$crate::Problem>>
                {
                    INSTANCE.with(|instance| instance.configure_notifier(&settings, &context))
                }
            }

            impl deliver::Guest for Plugin {
                fn notify(
                    notification: $crate::Notification,
                ) -> ::core::result::Result<$crate::Receipt, $crate::Failure> {
                    INSTANCE.with(|instance| instance.notify(&notification))
                }
            }

            $crate::bindings::settings::export!(
                Plugin with_types_in $crate::bindings::settings
            );
    $crate::bindings::deliver::export!(Plugin with_types_in $crate::bindings::deliver);
        };
    };
}
