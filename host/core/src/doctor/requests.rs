//! The requests that the bundled notifiers make, as far as their settings show. The requests of any
//! other plugin are unknown.

use serde_json::Value;

use crate::config::{NotifierConfig, PluginSource};
use crate::http::{HttpGrant, Url};

/// Requests of a bundled notifier to the URL of one of its settings.
#[derive(Debug)]
pub(super) struct Requests<'s> {
    /// The name of the setting in the config.
    pub(super) setting: &'static str,
    /// Their methods.
    pub(super) methods: Vec<&'s str>,
    /// The known part of the URL; `None` if a template begins before the end of the host.
    target: Option<RequestTarget>,
}

/// The part of a URL that is the same for all notifications.
#[derive(Debug)]
struct RequestTarget {
    /// The whole URL, or the part up to the last `/` before the first template.
    url: Url,
    /// The beginning of a segment that a template continues; `None` if the whole path is known.
    segment: Option<String>,
    /// The query, if it is known.
    query: Option<String>,
}

/// The requests of a notifier. `None` if they are unknown, because it is not a bundled one.
pub(super) fn requests(notifier: &NotifierConfig) -> Option<Vec<Requests<'_>>> {
    let PluginSource::Bundled(plugin) = &notifier.plugin_config.plugin else { return None };
    let settings = &notifier.plugin_config.settings.json;
    let request = |setting: &'static str, methods, url: &str| Requests {
        setting,
        methods,
        target: RequestTarget::from_template(url),
    };
    // The default of the plugin's setting.
    let text = |at: &str, unset| settings.pointer(at).and_then(Value::as_str).unwrap_or(unset);
    match plugin.as_str() {
        "ams-case" | "baseline-check" => Some(vec![]),
        "webhook" => Some(vec![request("url", vec![text("/method", "POST")], text("/url", ""))]),
        "billing" => Some(vec![request("url", vec!["PUT"], text("/url", ""))]),
        "cmdb" if settings.get("servicenow").is_some() => {
            let instance = text("/servicenow/instance", "").trim_end_matches('/');
            let table = text("/servicenow/table", "cmdb_ci_cloud_service_account");
            let table = format!("{instance}/api/now/table/{table}");
            let setting = "servicenow.instance";
            Some(vec![
                request(setting, vec!["GET", "POST"], &table),
                request(setting, vec!["PATCH"], &format!("{table}/{{{{ sys_id }}}}")),
            ])
        }
        "cmdb" => {
            let unset = [
                ("rest.look.url", "/rest/look/url", "", "GET"),
                ("rest.create.url", "/rest/create/url", "/rest/create/method", "POST"),
                ("rest.update.url", "/rest/update/url", "/rest/update/method", "PATCH"),
            ];
            let set = unset.into_iter().filter_map(|(setting, url, method, unset)| {
                let url = settings.pointer(url)?.as_str()?;
                let method = if method.is_empty() { unset } else { text(method, unset) };
                Some(request(setting, vec![method], url))
            });
            Some(set.collect())
        }
        _ => None,
    }
}

impl Requests<'_> {
    /// Whether one of them may match a grant's URL and query. False only if none can.
    pub(super) fn may_match(&self, grant: &HttpGrant) -> bool {
        self.target.as_ref().is_none_or(|target| target.may_be_within(grant))
    }

    /// The host of the requests, if it is known.
    pub(super) fn host(&self) -> Option<&str> {
        self.target.as_ref().map(|target| target.url.host())
    }
}

impl RequestTarget {
    fn from_template(text: &str) -> Option<Self> {
        let template = ["{{", "{%", "{#"].iter().filter_map(|begin| text.find(begin)).min();
        let known = &text[..template.unwrap_or(text.len())];
        let known = known.split('#').next().unwrap_or_default();
        let (path, query) = match known.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (known, None),
        };
        let path_is_known = template.is_none() || query.is_some();
        let query = template.is_none().then(|| query.unwrap_or_default().to_owned());
        if path_is_known {
            return Some(Self { url: Url::parse(path).ok()?, segment: None, query });
        }
        let (folder, segment) = path.rsplit_once('/')?;
        // The last `/` must not be the one of `https://`, before the host.
        folder.split_once("://").filter(|(_, authority)| !authority.is_empty())?;
        let url = Url::parse(&format!("{folder}/")).ok()?;
        Some(Self { url, segment: Some(segment.to_owned()), query })
    }

    fn may_be_within(&self, grant: &HttpGrant) -> bool {
        let origin = |url: &Url| (url.scheme(), url.host().to_owned(), url.port());
        if origin(&self.url) != origin(&grant.url) {
            return false;
        }
        let mut granted = grant.url.path().split('/').filter(|segment| !segment.is_empty());
        for segment in self.url.path().split('/').filter(|segment| !segment.is_empty()) {
            match granted.next() {
                None => break,
                Some(granted) if granted == segment => {}
                Some(_) => return false,
            }
        }
        let path = match (granted.next(), &self.segment) {
            (None, _) => true,
            (Some(next), Some(begins)) => next.starts_with(begins.as_str()),
            (Some(_), None) => false,
        };
        let has = |parameter: &String| {
            let query = self.query.as_deref();
            query.is_none_or(|query| query.split('&').any(|other| other == parameter))
        };
        path && grant.query.iter().all(has)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::config::Config;

    fn notifier(plugin: &str, settings: &str, grant: &str) -> NotifierConfig {
        let secrets = match grant.contains("$(s)") {
            true => "secrets = { s = { env = \"S\" } }\n",
            false => "",
        };
        let text = format!(
            "[[notifiers]]\nname = \"n\"\nplugin = \"{plugin}\"\n[notifiers.settings]\n{settings}\n\
             [[notifiers.grants.http]]\nurl = \"{grant}\"\nmethods = [\"GET\"]\n{secrets}"
        );
        Config::parse("crew.toml", &text).unwrap().notifiers.remove(0)
    }

    #[rstest]
    #[case::same("https://a.example/x", "https://a.example/x", true)]
    #[case::below("https://a.example/x/y", "https://a.example/x", true)]
    #[case::usual_form("https://A.example:443/x", "https://a.example/", true)]
    #[case::above("https://a.example/x", "https://a.example/x/y", false)]
    #[case::beside("https://a.example/xy", "https://a.example/x", false)]
    #[case::other_host("https://b.example/x", "https://a.example/", false)]
    #[case::other_port("https://a.example:8443/x", "https://a.example/", false)]
    #[case::in_the_clear("http://a.example/x", "https://a.example/", false)]
    #[case::query("https://a.example/x?v=1", "https://a.example/x", true)]
    #[case::template("https://a.example/{{ account.id }}", "https://a.example/v1/x", true)]
    #[case::template_in_a_segment("https://a.example/v{{ x }}", "https://a.example/v1/x", true)]
    #[case::template_in_another("https://a.example/w{{ x }}", "https://a.example/v1/x", false)]
    #[case::template_after_another("https://a.example/w/{{ x }}", "https://a.example/v1", false)]
    #[case::template_in_query(
        "https://a.example/x?a={{ account.id }}",
        "https://a.example/y",
        false
    )]
    #[case::block("https://a.example/{% if x %}b{% endif %}", "https://a.example/b", true)]
    #[case::template_in_the_host("https://a{{ x }}.example/", "https://b.example/", true)]
    #[case::template_as_host("https://{{ x }}/", "https://b.example/", true)]
    #[case::only_a_template("{{ x }}", "https://b.example/", true)]
    #[case::placeholder("https://a.example/$(s)", "https://a.example/$(s)", true)]
    #[case::without_placeholder("https://a.example/", "https://a.example/$(s)", false)]
    #[case::parameter("https://a.example/?v=1&sig=$(s)", "https://a.example/?sig=$(s)", true)]
    #[case::without_parameter("https://a.example/?v=1", "https://a.example/?sig=$(s)", false)]
    #[case::perhaps_parameter("https://a.example/{{ x }}", "https://a.example/?sig=$(s)", true)]
    fn where_a_request_may_go(#[case] url: &str, #[case] grant: &str, #[case] expected: bool) {
        let notifier = notifier("webhook", &format!("url = \"{url}\""), grant);
        let requests = requests(&notifier).unwrap();
        assert_eq!(requests[0].may_match(&notifier.grants.http[0]), expected);
    }

    #[rstest]
    #[case::webhook("webhook", "url = \"https://a/\"", &["url POST"])]
    #[case::put("webhook", "url = \"https://a/\"\nmethod = \"PUT\"", &["url PUT"])]
    #[case::billing("billing", "url = \"https://a/{{ account.id }}\"", &["url PUT"])]
    #[case::servicenow(
        "cmdb", "servicenow = { instance = \"https://a/\" }",
        &["servicenow.instance GET POST", "servicenow.instance PATCH"]
    )]
    #[case::rest(
        "cmdb",
        "rest.look = { url = \"https://a/\", reference = \"/x\" }\nrest.create = { url = \
         \"https://a/\", method = \"PUT\", body = {} }\nrest.update = { url = \"https://a/\", body = {} }",
        &["rest.look.url GET", "rest.create.url PUT", "rest.update.url PATCH"]
    )]
    #[case::none("ams-case", "", &[])]
    fn of_bundled_notifiers(
        #[case] plugin: &str,
        #[case] settings: &str,
        #[case] expected: &[&str],
    ) {
        let notifier = notifier(plugin, settings, "https://a/");
        let requests = requests(&notifier).unwrap();
        let found = requests.iter().map(|one| format!("{} {}", one.setting, one.methods.join(" ")));
        assert_eq!(found.collect::<Vec<_>>(), expected);
        assert!(requests.iter().all(|one| one.may_match(&notifier.grants.http[0])), "{requests:?}");
    }

    #[test]
    fn of_other_plugins_they_are_not_known() {
        let notifier = notifier("./own.wasm", "url = \"https://a/\"", "https://a/");
        assert!(requests(&notifier).is_none());
    }
}
