//! Names that distinguish the rows of one lock protocol.

use super::ProtocolRow;

/// Name each row by its protocol and the settings that differ between that protocol's rows.
pub(super) fn disambiguate(rows: &mut [ProtocolRow]) {
    let all: Vec<_> = rows.iter().map(|row| (row.protocol.clone(), settings(row))).collect();
    for (row, (_, own)) in rows.iter_mut().zip(&all) {
        let others: Vec<_> = all.iter().filter(|(protocol, _)| *protocol == row.protocol).collect();
        let differs = |setting: &&String| !others.iter().all(|(_, its)| its.contains(*setting));
        let own: Vec<_> = own.iter().filter(differs).map(String::as_str).collect();
        row.name = match own.as_slice() {
            [] => row.protocol.clone(),
            _ => format!("{} ({})", row.protocol, own.join(", ")),
        };
    }
}

/// Parameters and bounds of an exploration.
fn settings(row: &ProtocolRow) -> Vec<String> {
    let parameters = row.parameters.iter().map(|(name, value)| match value.as_str() {
        Some(text) => format!("{name}={text}"),
        None => format!("{name}={value}"),
    });
    let bounds = &row.bounds;
    let preemptions = bounds.preemptions.map_or("any".into(), |most| most.to_string());
    let of_the_row = [
        format!("timing={}", row.timing),
        format!("crashes={}", bounds.crashes),
        format!("faults={}", bounds.faults),
        format!("preemptions={preemptions}"),
    ];
    parameters.chain(of_the_row).collect()
}
