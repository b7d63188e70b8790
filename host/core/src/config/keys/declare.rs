//! The macro that declares tables of keys.

/// Declares a table: its keys as data ([`Table`]), and a struct of their values.
///
/// ```ignore
/// table! {
///     /// How accounts are updated.
///     UPDATES: Updates = ["updates"] {
///         /// The number of operations of the quota that are reserved for people.
///         reserve: Integer<usize, 0, 9> = Is("0");
///         /// Most updates at once of accounts that are directly in the same OU.
///         per_ou_limit: Integer<usize, 1, 10> = Nothing("no limit"), alias "ou_limit";
///     }
/// }
/// ```
///
/// - `UPDATES` is the [`Table`], `Updates` the struct. An array of tables has two brackets:
///   `[["lanes"]]`. A table whose keys the host does not know has no struct:
///   `SETTINGS = ["policies.settings"];`.
/// - The comments are the descriptions in the documentation and the schema, in Markdown.
/// - After the colon is one of the [forms](crate::config::forms).
/// - Then comes the value if the key is not in the text: a variant of [`KeyDefault`].
/// - `alias` is an older name of the key, which is still accepted, with a warning.
///
/// [`Reader::table`] reads `Updates`. `updates.reserve.value` is a `usize`, because it always has a
/// value; `updates.per_ou_limit.value` is an `Option<usize>`; `updates.reserve.line` is its line in
/// the text. The compiler warns about a key that is declared and never used.
///
/// [`Table`]: super::Table
/// [`KeyDefault`]: super::KeyDefault
/// [`Reader::table`]: crate::config::reader::Reader::table
macro_rules! table {
    (
        $(#[doc = $about:literal])+
        $table:ident: $values:ident = $heading:tt {$(
            $(#[doc = $meaning:literal])+
            $key:ident: $form:ty = $unwritten:ident $(($text:literal))? $(, alias $alias:literal)*;
        )+}
    ) => {
        $(#[doc = $about])+
        pub const $table: $crate::config::keys::Table = $crate::config::keys::Table {
            name: table!(@name $heading),
            many: table!(@many $heading),
            meaning: concat!($($about),+).trim_ascii(),
            keys: &[$($crate::config::keys::Key {
                name: stringify!($key),
                aliases: &[$($alias),*],
                form: <$form as $crate::config::forms::Parse>::FORM,
                default: $crate::config::keys::KeyDefault::$unwritten $(($text))?,
                meaning: concat!($($meaning),+).trim_ascii(),
            }),+],
        };

        $(#[doc = $about])+
        pub struct $values {$(
            $(#[doc = $meaning])+
            pub $key: $crate::config::reader::KeyValue<table!(@type $unwritten $form)>,
        )+}

        impl $crate::config::reader::TableValues for $values {
            const TABLE: &'static $crate::config::keys::Table = &$table;

            fn read(from: &mut $crate::config::reader::TableReader<'_, '_, '_>) -> Option<Self> {
                let [$($key),+] = $table.keys else { return None };
                Some(Self {
                    $($key: table!(@value $unwritten from.read::<$form>($key)),)+
                })
            }
        }
    };
    ($(#[doc = $about:literal])+ $table:ident = $heading:tt;) => {
        $(#[doc = $about])+
        pub const $table: $crate::config::keys::Table = $crate::config::keys::Table {
            name: table!(@name $heading),
            many: table!(@many $heading),
            meaning: concat!($($about),+).trim_ascii(),
            keys: &[],
        };
    };

    (@name [[$name:literal]]) => { $name };
    (@name [$name:literal]) => { $name };
    (@many [[$name:literal]]) => { true };
    (@many [$name:literal]) => { false };
    (@type Is $form:ty) => { <$form as $crate::config::forms::Parse>::Value };
    (@type $unwritten:ident $form:ty) => { Option<<$form as $crate::config::forms::Parse>::Value> };
    (@value Is $read:expr) => { $read.required()? };
    (@value $unwritten:ident $read:expr) => { $read };
}

pub(in crate::config) use table;
