//! `record` on servers of all kinds, and how it is asked for.

use super::{Recording, con, read, run, told};
use crate::program::{Place, Program, wait_until};
use crate::redis_server::{redis_or_skip, serve_all_slots};

#[test]
fn no_room_for_more_ends_it_with_what_there_was() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let recording = Recording::start(&redis, &place, "h", &["--pattern", "l", "--room", "3"]);
    let mut client = con(&redis);
    for token in ["token-1", "token-2", "token-3", "token-4"] {
        run(&mut client, &format!("SET l {token} NX PX 60000"));
        run(&mut client, "DEL l");
    }
    let ended = recording.program.end();
    ended.exits(4).says(&["there is no room for more than 3 observations"]);
    let history = read(&recording.file);
    assert!(!history.is_complete && !told(&history).acquired.is_empty(), "{ended:#?}");
}

#[test]
fn a_node_of_a_cluster_and_a_replica_say_what_is_not_seen() {
    let place = Place::new();
    let cluster = redis_or_skip!("--cluster-enabled", "yes");
    serve_all_slots(&cluster);
    let (ended, _) = Recording::start(&cluster, &place, "cluster", &[]).end();
    ended.says(&["one node of a cluster", "MONITOR"]);
    let primary = redis_or_skip!();
    let of = format!("127.0.0.1 {}", primary.port());
    let replica = redis_or_skip!("--replicaof", &of);
    let is_linked = || {
        let info: String =
            redis::cmd("INFO").arg("replication").query(&mut con(&replica)).unwrap_or_default();
        info.contains("master_link_status:up")
    };
    wait_until("the replica follows its primary", is_linked);
    let recording = Recording::start(&replica, &place, "replica", &["--pattern", "l"]);
    run(&mut con(&primary), "SET l token-1 NX PX 60000");
    wait_until("the replica has it", || {
        redis::cmd("EXISTS").arg("l").query::<bool>(&mut con(&replica)).unwrap()
    });
    let (ended, _) = recording.end();
    ended.says(&["this is a replica", "no attempt that was refused"]);
}

#[test]
fn clients_of_a_socket_are_told_as_one_and_that_is_said() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let socket = redis.unix_url();
    let recording = Recording::start_at(&socket, &redis, &place, "h", &["--pattern", "l"]);
    let mut client = redis::Client::open(socket.as_str()).unwrap().get_connection().unwrap();
    run(&mut client, "SET l token-1 NX PX 60000");
    run(&mut client, "DEL l");
    let (ended, history) = recording.end();
    ended.says(&["all clients of its Unix socket", "incomplete: all clients of"]);
    let told = told(&history);
    assert_eq!(told.acquired["l"].len(), 1, "{ended:#?}");
    assert_eq!(told.released["l"].len(), 1, "{ended:#?}");
}

#[test]
fn a_timeline_is_drawn_of_what_was_recorded() {
    let redis = redis_or_skip!();
    let place = Place::new();
    let picture = place.at("l.svg");
    let rest = ["--pattern", "l", "--timeline", picture.to_str().unwrap()];
    let recording = Recording::start(&redis, &place, "h", &rest);
    run(&mut con(&redis), "SET l token-1 NX PX 60000");
    run(&mut con(&redis), "DEL l");
    let (ended, _) = recording.end();
    ended.says(&["ending the recording"]);
    assert!(!ended.stderr.contains("interrupted"), "{ended:#?}");
    assert!(std::fs::read_to_string(picture).unwrap().contains("</svg>"));
}

#[test]
fn what_can_not_be_asked_for_is_refused() {
    let record = |rest: &[&str]| Program::new(["record"].iter().chain(rest)).run();
    record(&[]).exits(2).says(&["--history"]);
    record(&["--history", "h", "--for", "long"]).exits(2).says(&["--for"]);
    let both = ["--history", "h", "--timeline", "-", "--format", "json"];
    record(&both).refuses(2, &["--timeline -"]);
    record(&["--history", "h", "--redis", "nowhere"]).refuses(2, &["Redis URL"]);
}
