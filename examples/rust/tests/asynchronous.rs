//! The same lock with an asynchronous client: each actor has a process, so its closure may have a runtime.

use nodb_trigger::{Property, critical_section, explore};
use redis::aio::MultiplexedConnection;
use redis::{Client, RedisResult, Script, cmd};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::runtime::Builder;

async fn take(client: &mut MultiplexedConnection) -> RedisResult<Option<String>> {
    let token = format!("{:016x}", RandomState::new().hash_one(0));
    let mut set = cmd("SET");
    let set = set.arg("lock").arg(&token).arg("NX").arg("EX").arg(30);
    Ok(set.query_async::<Option<String>>(client).await?.map(|_| token))
}

async fn get_then_del(client: &mut MultiplexedConnection, token: &str) -> RedisResult<()> {
    match cmd("GET").arg("lock").query_async::<Option<String>>(client).await? {
        Some(held) if held == token => cmd("DEL").arg("lock").exec_async(client).await,
        _ => Ok(()),
    }
}

async fn compare_and_delete(client: &mut MultiplexedConnection, token: &str) -> RedisResult<()> {
    let delete = "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0";
    Script::new(delete).key("lock").arg(token).invoke_async::<()>(client).await
}

#[test]
#[should_panic(expected = "deletes client_2's lock")]
fn a_release_in_two_steps_deletes_the_lock_of_another_client() {
    explore(2, |_, url| -> RedisResult<()> {
        Builder::new_current_thread().enable_all().build()?.block_on(async {
            let mut client = Client::open(url)?.get_multiplexed_async_connection().await?;
            let Some(token) = take(&mut client).await? else { return Ok(()) };
            critical_section(&token);
            get_then_del(&mut client, &token).await
        })
    })
    .crashes(0)
    .never(Property::ForeignRelease)
    .assert();
}

#[test]
fn a_release_in_one_script_is_safe_on_several_threads() {
    explore(2, |_, url| -> RedisResult<()> {
        Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(async {
            let mut client = Client::open(url)?.get_multiplexed_async_connection().await?;
            let Some(token) = take(&mut client).await? else { return Ok(()) };
            critical_section(&token);
            compare_and_delete(&mut client, &token).await
        })
    })
    .crashes(1)
    .never(Property::ForeignRelease)
    .max_time(Duration::from_secs(300))
    .assert();
}
