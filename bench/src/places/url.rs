//! A role's URL with the place in it changed for a measurement's own. Pure.
//!
//! What must stay true: server, user, password and all other options stay as they are, so that what is measured is what is used.

use wh_stores::Role;

/// The same server's URL for a place called `name`. `with_user` tells whether somebody logs in at MongoDB: who does is known to the database
/// that the URL names unless another is, and must still be when the database is another.
#[must_use]
pub fn own_url(role: Role, url: &str, name: &str, with_user: bool) -> String {
    let (base, query) = url.split_once('?').map_or((url, ""), |(base, query)| (base, query));
    let behind = base.find("://").map_or(0, |at| at + 3);
    let path_at = base[behind..].find('/').map_or(base.len(), |at| behind + at);
    let (server, path) = base.split_at(path_at);
    let mut options: Vec<String> = query.split('&').filter(|option| !option.is_empty()).map(str::to_owned).collect();
    let named = |options: &[String], option: &str| options.iter().any(|one| one.split('=').next() == Some(option));
    let path = match role {
        Role::Log | Role::Baselines | Role::Search => {
            options.retain(|option| option.split('=').next() != Some("namespace"));
            options.push(format!("namespace={name}"));
            path.to_owned()
        }
        Role::Ledger => format!("/{name}"),
        Role::Documents => {
            let before = path.trim_matches('/');
            if with_user && !before.is_empty() && !named(&options, "authSource") {
                options.push(format!("authSource={before}"));
            }
            format!("/{name}")
        }
        Role::Metrics => {
            let organisation = path.trim_start_matches('/').split('/').next().unwrap_or_default();
            format!("/{organisation}/{name}")
        }
    };
    let query = if options.is_empty() { String::new() } else { format!("?{}", options.join("&")) };
    format!("{server}{path}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_place_is_another() {
        for (role, url, wanted) in [
            (Role::Log, "kafka://a:1,b:2", "kafka://a:1,b:2?namespace=x"),
            (Role::Log, "kafka://u:p%2F@a:1?tls=true&namespace=theirs", "kafka://u:p%2F@a:1?tls=true&namespace=x"),
            (Role::Ledger, "postgres://u:p@h:5/theirs?tls=true", "postgres://u:p@h:5/x?tls=true"),
            (Role::Documents, "mongodb://h/theirs", "mongodb://h/x"),
            (Role::Metrics, "influxdb://:t@h:8086/St.%20Mary/theirs", "influxdb://:t@h:8086/St.%20Mary/x"),
            (Role::Baselines, "redis://h:6379/3", "redis://h:6379/3?namespace=x"),
            (Role::Search, "elasticsearch://h:9200/es?namespace=theirs", "elasticsearch://h:9200/es?namespace=x"),
        ] {
            assert_eq!(own_url(role, url, "x", false), wanted);
        }
    }

    #[test]
    fn who_logs_in_is_known_where_they_were_known() {
        assert_eq!(own_url(Role::Documents, "mongodb://u:p@h/theirs", "x", true), "mongodb://u:p@h/x?authSource=theirs");
        assert_eq!(own_url(Role::Documents, "mongodb://u:p@h/theirs?authSource=admin", "x", true), "mongodb://u:p@h/x?authSource=admin");
    }
}
