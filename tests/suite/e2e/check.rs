//! `hookfan check` on what engineers really write wrong.
