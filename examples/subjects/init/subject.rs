// nodb-trigger probe --subject target/debug/subject
// In a project of its own: cargo init --name subject; cargo add redis serde_json uuid -F uuid/v4
// Put your lock where it says HERE.
use redis::{Client, Connection, RedisResult, Script};
use serde_json::{Value, json};

const DELETE_OWN: &str =
    "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1]) or 0";

fn connect() -> RedisResult<Connection> {
    Client::open(std::env::var("REDIS_URL").unwrap_or_default())?.get_connection()
}

/// HERE: once, without waiting; true if acquired.
fn acquire(redis: &mut Connection, lock: &str, ttl_ms: u64, token: &str) -> RedisResult<bool> {
    redis::cmd("SET").arg(lock).arg(token).arg("NX").arg("PX").arg(ttl_ms).query(redis)
}

/// HERE: true if the lock was still its own.
fn release(redis: &mut Connection, lock: &str, token: &str) -> RedisResult<bool> {
    Script::new(DELETE_OWN).key(lock).arg(token).invoke(redis)
}

fn main() -> RedisResult<()> {
    let (mut redis, mut token) = (connect()?, String::new());
    println!("{}", json!({"subject": "my lock"}));
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let told: Value = serde_json::from_str(&line).unwrap_or_default();
        let lock = told["lock"].as_str().unwrap_or_default();
        let done = match told["do"].as_str() {
            Some("reset") => connect().map(|fresh| redis = fresh).map(|()| true),
            Some("acquire") => {
                token = uuid::Uuid::new_v4().to_string();
                acquire(&mut redis, lock, told["ttl_ms"].as_u64().unwrap_or_default(), &token)
            }
            _ => release(&mut redis, lock, &token),
        };
        let answer = done.map_or_else(|e| json!({"error": e.to_string()}), |ok| json!({"ok": ok}));
        println!("{answer}");
    }
    Ok(())
}
