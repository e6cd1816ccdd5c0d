//! What is no Redis that a lock can be kept on: a Sentinel, a node of a cluster that is down, a replica, a
//! server that can't be trusted. Each command says which it is, and what to do.

use super::every_command::programs;
use crate::program::{Ended, Place, Program, wait_until};
use crate::redis_server::{RedisServer, free_port, redis_or_skip};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Runs every command on this server, all at once.
fn all(url: &str, place: &Place, rest: &[&str], envs: &[(&str, &str)]) -> Vec<(String, Ended)> {
    let with_envs =
        |program| envs.iter().fold(program, |it: Program, (name, value)| it.env(name, value));
    let running: Vec<_> = programs(url, place, rest)
        .into_iter()
        .filter(|(name, _)| !name.contains("--watch") || !rest.is_empty())
        .map(|(name, program)| (name, with_envs(program).start()))
        .collect();
    running.into_iter().map(|(name, running)| (name, running.end())).collect()
}

/// Fails unless every command ends with 3 and one line that says this.
fn all_refuse(url: &str, envs: &[(&str, &str)], words: &[&str]) {
    let place = Place::new();
    for (name, ended) in all(url, &place, &["--redis-timeout=10s"], envs) {
        assert_eq!(ended.code, Some(3), "{name}: {ended:#?}");
        let lines = ended.stderr.lines();
        let saying = lines.filter(|line| words.iter().all(|word| line.contains(word)));
        assert_eq!(saying.count(), 1, "{name} does not say {words:?}: {ended:#?}");
    }
    place.is_empty();
}

/// A Sentinel. Dropping it kills it.
struct Sentinel(Child, u16);

impl Sentinel {
    fn start(place: &Place, primary: u16) -> Self {
        let port = free_port();
        let file = place.at("sentinel.conf");
        let watch = format!("sentinel monitor ours 127.0.0.1 {primary} 1");
        fs::write(&file, format!("port {port}\nbind 127.0.0.1\n{watch}\n")).unwrap();
        let mut command = Command::new("redis-server");
        command.arg(&file).arg("--sentinel").current_dir(place.at(""));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let sentinel = Self(child, port);
        wait_until("the sentinel answers", || {
            let client = redis::Client::open(sentinel.url()).unwrap();
            client.get_connection().is_ok_and(|mut con| redis::cmd("PING").exec(&mut con).is_ok())
        });
        sentinel
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.1)
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_sentinel_names_the_primary_that_it_watches() {
    let redis = redis_or_skip!();
    let files = Place::new();
    let sentinel = Sentinel::start(&files, redis.port());
    let primary = format!("redis://127.0.0.1:{}", redis.port());
    all_refuse(&sentinel.url(), &[], &["it is a Sentinel, which keeps no keys; name", &primary]);
    redis.is_empty();
}

#[test]
fn a_node_of_a_cluster_is_called_so_by_every_command() {
    let cluster = redis_or_skip!("--cluster-enabled", "yes");
    all_refuse(&cluster.url(), &[], &["it is a node of a Redis Cluster"]);
    let place = Place::new();
    for (name, ended) in all(&cluster.url(), &place, &["--redis-timeout=10s"], &[]) {
        // A client from outside needs a single Redis anyway.
        let is_down = name.contains("--subject") || ended.stderr.contains("CLUSTER NODES");
        assert!(is_down, "{name}: {ended:#?}");
    }
}

#[test]
fn a_replica_is_called_so_with_its_primary_by_every_command_that_changes_something() {
    let primary = redis_or_skip!();
    let replica = RedisServer::start(&["--replicaof", &format!("127.0.0.1 {}", primary.port())]);
    let place = Place::new();
    let name = format!("redis://127.0.0.1:{}", primary.port());
    for (command, ended) in all(&replica.url(), &place, &[], &[]) {
        // These say it in a note.
        if ["status", "record"].iter().any(|looking| command.starts_with(looking)) {
            continue;
        }
        assert_eq!(ended.code, Some(3), "{command}: {ended:#?}");
        let words = ["it is a replica", "name its primary", &name];
        let line = ended.stderr.lines().find(|line| words.iter().all(|word| line.contains(word)));
        assert!(line.is_some(), "{command}: {ended:#?}");
    }
}

/// Runs openssl in a place; false without it.
fn openssl(place: &Place, words: &str) -> bool {
    let mut command = Command::new("openssl");
    command.args(words.split(' ')).current_dir(place.at(""));
    command.output().is_ok_and(|done| done.status.success())
}

/// A certificate that is its own authority, for this name, and its key; nothing without openssl.
fn certificate(place: &Place, name: &str, lives: &str) -> Option<(PathBuf, PathBuf)> {
    fs::write(
        place.at("ca.cnf"),
        format!(
            "[ca]\ndefault_ca=ours\n[ours]\ndatabase=index\nnew_certs_dir=.\nrand_serial=yes\n\
             default_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n[with]\n\
             subjectAltName={name}\nbasicConstraints=critical,CA:FALSE\n"
        ),
    )
    .unwrap();
    fs::write(place.at("index"), "").unwrap();
    let made = openssl(place, "ecparam -name prime256v1 -genkey -noout -out key.pem")
        && openssl(place, "req -new -key key.pem -subj /CN=test -out request.pem")
        && openssl(
            place,
            &format!(
                "ca -batch -config ca.cnf -selfsign -keyfile key.pem -in request.pem \
                 -extensions with -notext -out certificate.pem {lives}"
            ),
        );
    made.then(|| (place.at("certificate.pem"), place.at("key.pem")))
}

const FOR_LONG: &str = "-startdate 20200101000000Z -enddate 20990101000000Z";
const NO_MORE: &str = "-startdate 20200101000000Z -enddate 20200102000000Z";
const NOT_YET: &str = "-startdate 20980101000000Z -enddate 20990101000000Z";

/// A server behind TLS with this certificate, and its URL.
fn behind_tls(certificate: &Path, key: &Path, more: &[&str]) -> (RedisServer, String) {
    let port = free_port().to_string();
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let tls = ["--tls-port", &port, "--tls-cert-file", certificate, "--tls-key-file", key];
    let redis = RedisServer::start(&[&tls[..], more].concat());
    (redis, format!("rediss://127.0.0.1:{port}"))
}

#[test]
fn a_certificate_that_can_t_be_trusted_is_said_with_what_to_do() {
    let _ = redis_or_skip!();
    for (name, lives, is_known, words) in [
        ("IP:127.0.0.1", FOR_LONG, false, "name the file of its authority in SSL_CERT_FILE"),
        ("DNS:elsewhere.example", FOR_LONG, true, "name the host as its certificate does"),
        ("IP:127.0.0.1", NO_MORE, true, "have it renewed"),
        ("IP:127.0.0.1", NOT_YET, true, "set the clock of this machine"),
    ] {
        let files = Place::new();
        let Some((certificate, key)) = certificate(&files, name, lives) else { return };
        let (redis, url) = behind_tls(&certificate, &key, &["--tls-auth-clients", "no"]);
        let known = [("SSL_CERT_FILE", certificate.to_str().unwrap())];
        let known = if is_known { &known[..] } else { &[] };
        all_refuse(&url, known, &[&format!("cannot trust {url}"), words]);
        redis.is_empty();
    }
}

#[test]
fn a_server_behind_tls_is_used_and_one_that_wants_no_tls_or_more_of_it_is_said() {
    let redis = redis_or_skip!();
    let files = Place::new();
    let Some((certificate, key)) = certificate(&files, "IP:127.0.0.1", FOR_LONG) else { return };
    let known = [("SSL_CERT_FILE", certificate.to_str().unwrap())];
    let plain = format!("rediss://127.0.0.1:{}", redis.port());
    all_refuse(&plain, &known, &["did not answer within 10s", "one without TLS, say redis://"]);
    let authority = ["--tls-ca-cert-file", certificate.to_str().unwrap()];
    let (strict, url) = behind_tls(&certificate, &key, &authority);
    all_refuse(&url, &known, &[&url, "ended the TLS connection", "certificate of its clients"]);
    strict.is_empty();
    let (open, url) = behind_tls(&certificate, &key, &["--tls-auth-clients", "no"]);
    let place = Place::new();
    let ended = super::at(&url, &place.run(), &[]).env(known[0].0, known[0].1).run();
    assert_eq!(ended.exits(0).json()["server"], url);
    open.is_empty();
    place.is_empty();
}
