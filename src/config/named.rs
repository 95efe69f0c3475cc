//! Names and kinds: what sources and destinations open with.

use std::ops::Range;

use crate::decode::{Fields, did_you_mean, listed};
use crate::vendor::Vendor;

/// Every name that is defined, and where.
#[derive(Default)]
pub(super) struct Named {
    pub(super) sources: Vec<Definition>,
    pub(super) destinations: Vec<Definition>,
    /// Defined under a name that cannot be one, or under none.
    pub(super) misnamed: Vec<String>,
}

/// Where a source or destination is defined, and as which kind.
#[derive(Clone)]
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) file: usize,
    pub(super) span: Range<usize>,
    /// `None`: the kind itself is wrong or missing.
    pub(super) vendor: Option<&'static Vendor>,
}

/// The vendor that `kind` names, if it can do what is wanted.
pub(super) fn vendor(
    fields: &mut Fields<'_, '_>,
    vendors: &'static [&'static Vendor],
    what: &str,
    can: impl Fn(&Vendor) -> bool,
) -> Option<&'static Vendor> {
    let kinds = || {
        vendors
            .iter()
            .filter(|vendor| can(vendor))
            .map(|vendor| vendor.kind)
    };
    let typed = fields
        .table
        .get("type")
        .and_then(|value| value.get_ref().as_str());
    if let (false, Some(kind)) = (
        fields.has("kind"),
        typed.filter(|kind| kinds().any(|one| one == *kind)),
    ) {
        let place = fields
            .key_span("type")
            .unwrap_or_else(|| fields.span.clone());
        let help = format!("write kind = \"{kind}\"");
        fields.error(place, "what is `type` elsewhere is `kind` here", Some(help));
        return None;
    }
    let kind = fields.required_text(
        "kind",
        &format!("kinds of {what}: {}", listed(kinds(), '"')),
    )?;
    let vendor = vendors
        .iter()
        .copied()
        .find(|vendor| vendor.kind == kind.value);
    match vendor {
        Some(vendor) if can(vendor) => Some(vendor),
        Some(_) => {
            let message = format!("\"{}\" is no kind of {what}", kind.value);
            fields.error(
                kind.span,
                message,
                Some(format!("kinds of {what}: {}", listed(kinds(), '"'))),
            );
            None
        }
        None => {
            let help = did_you_mean(&kind.value, kinds())
                .unwrap_or_else(|| format!("kinds of {what}: {}", listed(kinds(), '"')));
            fields.error(
                kind.span,
                format!("there is no kind of {what} called \"{}\"", kind.value),
                Some(help),
            );
            None
        }
    }
}

/// Complains about a name that another file has defined already.
pub(super) fn fresh(
    top: &mut Fields<'_, '_>,
    what: &str,
    defined: &[Definition],
    name: &str,
    place: &Range<usize>,
) -> bool {
    let Some(first) = defined
        .iter()
        .find(|definition| definition.name == name)
        .cloned()
    else {
        return true;
    };
    let message = format!("the {what} \"{name}\" is defined twice");
    top.error(
        place.clone(),
        message.clone(),
        Some("rename one of the two; the other complaint shows the first".into()),
    );
    // Pointing at both places lets each file's owner see it.
    let here = std::mem::replace(&mut top.file, first.file);
    top.error(
        first.span,
        message,
        Some("this is the first one; another file has the second".into()),
    );
    top.file = here;
    false
}
