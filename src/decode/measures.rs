//! The [`Fields`] methods that read measures: durations, sizes, counts, rates.

use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::quantity::{self, Unfit};
use super::{At, Fields, Rate, advice, describe};

impl<'i> Fields<'_, 'i> {
    /// `"30s"`, `"2.5s"`, `"10m"`, `"24h"`, `"30d"`, `"250ms"`, `"1h30m"`.
    /// Overflow is a complaint.
    pub fn duration(&mut self, key: &'static str) -> Option<At<Duration>> {
        let value = self.any(key)?;
        self.as_duration(key, value)
    }

    /// A list of durations; one wrong item is a complaint and `None`.
    pub fn durations(&mut self, key: &'static str) -> Option<Vec<At<Duration>>> {
        let value = self.any(key)?;
        match value.get_ref() {
            DeValue::Array(items) => {
                let read: Vec<_> = items
                    .iter()
                    .map(|item| self.as_duration(key, item))
                    .collect();
                read.into_iter().collect()
            }
            DeValue::String(_) => self.as_duration(key, value).map(|one| vec![one]),
            other => {
                self.wrong(
                    key,
                    value,
                    "a list of durations such as [\"5s\", \"10m\"]",
                    describe(other),
                );
                None
            }
        }
    }

    /// `"64MiB"`, `"10GB"`, `"512"` or an integer: bytes.
    pub fn size(&mut self, key: &'static str) -> Option<At<u64>> {
        let value = self.any(key)?;
        let read = match value.get_ref() {
            DeValue::String(text) => quantity::size(text),
            DeValue::Integer(number) => match i128::from_str_radix(number.as_str(), number.radix())
            {
                Ok(0) => Err(Unfit::Zero),
                Ok(number) if number < 0 => Err(Unfit::Negative),
                Ok(number) => u64::try_from(number)
                    .ok()
                    .filter(|bytes| *bytes <= quantity::SIZE_MAX)
                    .ok_or(Unfit::TooLarge("8 EiB")),
                Err(_) => Err(Unfit::TooLarge("8 EiB")),
            },
            other => {
                self.wrong(key, value, "a size such as \"64MiB\"", describe(other));
                return None;
            }
        };
        match read {
            Ok(bytes) => Some(self.at(bytes, value)),
            Err(unfit) => {
                self.unfit(key, value, "size", &unfit, "write bytes with a unit, such as \"512B\", \"64MiB\" (of 1024²) or \"10GB\" (of 1000³)");
                None
            }
        }
    }

    /// A whole number of at least `min`.
    pub fn count(&mut self, key: &'static str, min: u64) -> Option<At<u64>> {
        let value = self.any(key)?;
        let expected = format!("a whole number of at least {min}");
        let number = match value.get_ref() {
            DeValue::Integer(number) => number,
            DeValue::String(text) => {
                let help = if quantity::duration(text) == Err(Unfit::Unlimited) {
                    "there is no \"unlimited\": write the number you can live with".to_owned()
                } else {
                    let number = text.trim().parse().unwrap_or(min.max(1));
                    format!("write it without quotes: {key} = {number}")
                };
                let message = format!("`{}` must be {expected}, not a text", self.name(key));
                self.error(value.span(), message, Some(help));
                return None;
            }
            other => {
                self.wrong(key, value, &expected, describe(other));
                return None;
            }
        };
        match i128::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if number < i128::from(min) => {
                let message = format!("`{}` must be {expected}", self.name(key));
                self.error(
                    value.span(),
                    message,
                    Some("there is no \"unlimited\", and zero does not mean it".to_owned()),
                );
                None
            }
            Ok(number) if number <= i128::from(i64::MAX) => u64::try_from(number)
                .ok()
                .map(|number| self.at(number, value)),
            _ => {
                let message = format!(
                    "`{}` is more than the {} that fit",
                    self.name(key),
                    i64::MAX
                );
                let help = "write a smaller number".to_owned();
                self.error(value.span(), message, Some(help));
                None
            }
        }
    }

    pub fn rate(&mut self, key: &'static str) -> Option<At<Rate>> {
        let value = self.any(key)?;
        let DeValue::String(text) = value.get_ref() else {
            self.wrong(
                key,
                value,
                "a rate such as \"500/s\"",
                describe(value.get_ref()),
            );
            return None;
        };
        match quantity::rate(text) {
            Ok(rate) => Some(self.at(rate, value)),
            Err(unfit) => {
                self.unfit(key, value, "rate", &unfit, "write a number per second, minute, hour or day, such as \"500/s\" or \"100/m\"; leave the key out for no limit");
                None
            }
        }
    }

    fn unfit(
        &mut self,
        key: &str,
        value: &Spanned<DeValue<'i>>,
        quantity: &str,
        unfit: &Unfit,
        help: &str,
    ) {
        let text = value.get_ref().as_str().unwrap_or_default();
        let near = advice::nearly(text, |one| match quantity {
            "duration" => quantity::duration(one).is_ok(),
            "size" => quantity::size(one).is_ok(),
            _ => quantity::rate(one).is_ok(),
        });
        let help = match (unfit, quantity, near) {
            (Unfit::Unlimited, "size", _) => {
                "write the most you can live with, such as \"10GiB\"".to_owned()
            }
            (Unfit::Unlimited, "duration", _) => {
                "write the most you can live with, such as \"30d\"".to_owned()
            }
            (_, _, Some(near)) => format!("did you mean \"{near}\"?"),
            _ => help.to_owned(),
        };
        let message = format!("`{}` is no {quantity}: {unfit}", self.name(key));
        self.error(value.span(), message, Some(help));
    }

    fn as_duration(&mut self, key: &str, value: &Spanned<DeValue<'i>>) -> Option<At<Duration>> {
        let DeValue::String(text) = value.get_ref() else {
            self.wrong(
                key,
                value,
                "a duration such as \"30s\"",
                describe(value.get_ref()),
            );
            return None;
        };
        match quantity::duration(text) {
            Ok(duration) => Some(self.at(duration, value)),
            Err(unfit) => {
                self.unfit(key, value, "duration", &unfit, "write numbers with units, such as \"250ms\", \"2.5s\", \"10m\", \"1h30m\" or \"30d\"");
                None
            }
        }
    }
}
