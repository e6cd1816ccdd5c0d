//! MULTI, EXEC, DISCARD, WATCH, UNWATCH.

use redis::Value;

use super::Reply;
use crate::error::Error;
use crate::resp::Request;
use crate::session::{Call, Queue, Watch, no_list};

pub(super) fn multi(call: &mut Call<'_>, _: &[&[u8]]) -> Reply {
    if call.session.queue.is_some() {
        return Err(Error::NestedMulti);
    }
    call.session.queue = Some(Queue::default());
    Ok(Value::Okay)
}

pub(super) fn exec(call: &mut Call<'_>, _: &[&[u8]]) -> Reply {
    let queue = call.session.queue.take().ok_or(Error::ExecWithoutMulti)?;
    let stale = call.unwatch();
    if queue.spoiled {
        return Err(Error::ExecAbort);
    }
    if stale {
        return Ok(no_list());
    }
    let mut replies = Vec::new();
    let mut rest = queue.requests.as_slice();
    let mut request = Request::new();
    call.session.in_exec = true;
    while let Ok(behind) = request.read(rest) {
        let reply = call.run_queued(request.argv());
        replies.append(&mut call.session.answered);
        replies.push(reply);
        rest = behind;
    }
    call.session.in_exec = false;
    Ok(Value::Array(replies))
}

pub(super) fn discard(call: &mut Call<'_>, _: &[&[u8]]) -> Reply {
    call.session.queue.take().ok_or(Error::DiscardWithoutMulti)?;
    call.unwatch();
    Ok(Value::Okay)
}

pub(super) fn watch(call: &mut Call<'_>, keys: &[&[u8]]) -> Reply {
    if call.session.queue.is_some() {
        return Err(Error::WatchInMulti);
    }
    let db = call.session.db;
    for &key in keys {
        // The first watch sees all that a second could; a client in a loop must not pile them up.
        if call.session.watches.iter().any(|watch| watch.db == db && watch.key == key) {
            continue;
        }
        let changes = call.db().watch(key);
        let epoch = call.keyspace.epoch;
        call.session.watches.push(Watch { db, key: key.to_vec(), changes, epoch });
    }
    Ok(Value::Okay)
}

pub(super) fn unwatch(call: &mut Call<'_>, _: &[&[u8]]) -> Reply {
    call.unwatch();
    Ok(Value::Okay)
}
