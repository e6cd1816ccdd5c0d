//! What the commands of all collections share: to look one up, and to change one.

use crate::data::Collection;
use crate::error::Error;
use crate::keyspace::View;

/// The collection at a key, to read.
pub(super) fn read<'v, C: Collection>(
    db: &'v mut View<'_>,
    key: &[u8],
) -> Result<Option<&'v C>, Error> {
    match db.get(key) {
        Some(entry) => C::of(&entry.data).map(Some).ok_or(Error::WrongType),
        None => Ok(None),
    }
}

/// Changes the collection at a key, which is made if there is none and deleted if it is empty
/// afterwards. `change` gives whether it changed anything, which watchers see, and a result.
pub(super) fn change<C: Collection, T>(
    db: &mut View<'_>,
    key: &[u8],
    change: impl FnOnce(&mut C) -> (bool, T),
) -> Result<T, Error> {
    let Some(data) = db.data_mut(key) else {
        let mut new = C::default();
        let (_, result) = change(&mut new);
        if !new.is_empty() {
            db.set(key, new.into_data(), None);
        }
        return Ok(result);
    };
    let members = C::of_mut(data).ok_or(Error::WrongType)?;
    let (changed, result) = change(members);
    if members.is_empty() {
        db.remove(key);
    } else if changed {
        db.touch(key);
    }
    Ok(result)
}
