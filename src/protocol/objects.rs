//! Defines structs and enums that are written and read as JSON objects, with each field named once.
//!
//! A field that is `optional` is left out if it has no value, or is a flag that is not set.

/// Defines a struct that is written as a JSON object. Each field is followed by its name.
macro_rules! written {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$doc:meta])* pub $field:ident: $type:ty = $key:literal $($optional:ident)?,)+
    } $(and others in $other:ident)?) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        #[cfg_attr(test, derive(ts_rs::TS))]
        pub struct $name {
            $(
                $(#[$doc])*
                #[cfg_attr(test, ts(rename = $key))]
                $(#[cfg_attr(test, ts($optional))])?
                pub $field: $type,
            )+
            $(
                /// Fields that this version does not know.
                #[cfg_attr(test, ts(skip))]
                pub $other: $crate::protocol::json::OtherFields,
            )?
        }

        impl $crate::protocol::Write for $name {
            fn write(&self, out: &mut Vec<u8>) {
                $crate::protocol::write::begin(out);
                $($crate::protocol::objects::write_field!(out, $key, &self.$field $(, $optional)?);)+
                $($crate::protocol::write::fields(out, &self.$other.0);)?
                $crate::protocol::write::end(out);
            }
        }
    };
}

/// Defines a struct that is written as a JSON object and read from one.
macro_rules! object {
    ($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$doc:meta])* pub $field:ident: $type:ty = $key:literal $($optional:ident)?,)+
    } $(and others in $other:ident)?) => {
        $crate::protocol::objects::written! {
            $(#[$meta])*
            pub struct $name {
                $($(#[$doc])* pub $field: $type = $key $($optional)?,)+
            } $(and others in $other)?
        }

        impl $crate::protocol::Read for $name {
            fn blank() -> Self {
                $name {
                    $($field: $crate::protocol::Read::blank(),)+
                    $($other: $crate::protocol::json::OtherFields::default(),)?
                }
            }

            fn fill(&mut self, json: Option<&$crate::protocol::Json>) -> bool {
                // Used only if the struct keeps unknown fields.
                #[allow(dead_code)]
                const KEYS: &[&str] = &[$($key),+];
                let Some(json) = json else { return false };
                $($crate::protocol::read::fill_field(&mut self.$field, json, $key) &&)+
                $($crate::protocol::read::fill_others(&mut self.$other, json, KEYS) &&)?
                true
            }
        }
    };
}

/// Defines an enum that is written as a JSON object with a tag. Each variant is followed by its tag's value.
macro_rules! tagged {
    ($(#[$meta:meta])* pub enum $name:ident by $tag:literal {
        $($(#[$doc:meta])* $kind:ident = $word:literal $({
            $($(#[$field_meta:meta])* $field:ident: $type:ty = $key:literal $($optional:ident)?,)+
        })?,)+
    } $(or $other:ident)?) => {
        #[derive(Clone, Debug, PartialEq)]
        #[cfg_attr(test, derive(ts_rs::TS))]
        #[cfg_attr(test, ts(tag = $tag))]
        $(#[$meta])*
        pub enum $name {
            $(
                $(#[$doc])*
                #[cfg_attr(test, ts(rename = $word))]
                $kind $({
                    $(
                        $(#[$field_meta])*
                        #[cfg_attr(test, ts(rename = $key))]
                        $(#[cfg_attr(test, ts($optional))])?
                        $field: $type,
                    )+
                })?,
            )+
            $(
                /// An object of a type or form that this version does not know.
                #[cfg_attr(test, ts(skip))]
                $other($crate::protocol::Json),
            )?
        }

        impl $crate::protocol::Write for $name {
            fn write(&self, out: &mut Vec<u8>) {
                let word = match self {
                    $($name::$kind $({ $($field: _),+ })? => $word,)+
                    $($name::$other(json) => return json.write(out),)?
                };
                $crate::protocol::write::begin(out);
                $crate::protocol::write::field(out, $tag, word);
                match self {
                    $($name::$kind $({ $($field),+ })? => {
                        $($($crate::protocol::objects::write_field!(out, $key, $field $(, $optional)?);)+)?
                    })+
                    $($name::$other(_) => {})?
                }
                $crate::protocol::write::end(out);
            }
        }
    };
}

/// Defines an enum that is written as a JSON object with a `type`, and is read from one. An object of another
/// type or form becomes the last variant. A field may be followed by a check, in brackets, that it must pass.
macro_rules! kinds {
    ($(#[$meta:meta])* pub enum $name:ident {
        $($(#[$doc:meta])* $kind:ident = $word:literal {
            $($(#[$field_meta:meta])* $field:ident: $type:ty = $key:literal $([$check:ident])? $($optional:ident)?,)+
        },)+
    } or $other:ident) => {
        $crate::protocol::objects::tagged! {
            $(#[$meta])*
            pub enum $name by "type" {
                $($(#[$doc])* $kind = $word {
                    $($(#[$field_meta])* $field: $type = $key $($optional)?,)+
                },)+
            } or $other
        }

        impl $name {
            fn fill_known(&mut self, kind: &str, json: &$crate::protocol::Json) -> bool {
                match kind {
                    $($word => {
                        *self = $name::$kind { $($field: $crate::protocol::Read::blank()),+ };
                        let $name::$kind { $($field),+ } = self else { return false };
                        $($crate::protocol::read::fill_field($field, json, $key) $(&& $check($field))? &&)+
                        true
                    })+
                    _ => false,
                }
            }
        }

        impl $crate::protocol::Read for $name {
            fn blank() -> Self {
                $name::$other($crate::protocol::Json::Null)
            }

            fn fill(&mut self, json: Option<&$crate::protocol::Json>) -> bool {
                let Some(json) = json else { return false };
                let Some($crate::protocol::Json::String(kind)) = json.get("type") else { return false };
                if !self.fill_known(kind, json) {
                    *self = $name::$other(json.clone());
                }
                true
            }
        }
    };
}

macro_rules! write_field {
    ($out:ident, $key:literal, $value:expr) => {
        $crate::protocol::write::field($out, $key, $value)
    };
    ($out:ident, $key:literal, $value:expr, optional) => {
        $crate::protocol::write::optional_field($out, $key, $value)
    };
}

pub(crate) use {kinds, object, tagged, write_field, written};
