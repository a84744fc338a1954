//! Operations on event buses.

use serde::Deserialize;
use serde_json::{Value, json};

use super::page::page;
use super::rules::check_description;
use super::{Answer, Bus, DEFAULT_BUS, EventBus, Reply, bus_name, empty};
use crate::error::{ApiError, ErrorKind};
use crate::limits::BUS_NAME_MAX;
use crate::target::is_name;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct CreateEventBus {
    name: String,
    description: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DeleteEventBus {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribeEventBus {
    name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListEventBuses {
    name_prefix: Option<String>,
    next_token: Option<String>,
    limit: Option<usize>,
}

impl Bus {
    pub(super) fn create_event_bus(&mut self, request: CreateEventBus, now_ms: u64) -> Answer {
        if !is_name(&request.name, BUS_NAME_MAX) {
            let name = super::shortened(&request.name);
            let allowed = format!("1 to {BUS_NAME_MAX} of the characters . - _ A-Z a-z 0-9");
            return Err(ApiError::invalid(format!("Name {name:?} has to have {allowed}")));
        }
        check_description(request.description.as_deref())?;
        if self.buses.contains_key(&request.name) {
            let message = format!("Event bus {} already exists.", request.name);
            return Err(ApiError::new(ErrorKind::ResourceAlreadyExists, message));
        }
        self.room_for_bus()?;
        let mut body = json!({"EventBusArn": self.bus_arn(&request.name)});
        if let Some(description) = &request.description {
            body["Description"] = Value::from(description.as_str());
        }
        let bus = EventBus {
            description: request.description,
            created_ms: now_ms,
            modified_ms: now_ms,
            ..EventBus::default()
        };
        self.buses.insert(request.name, bus);
        Ok(Reply::changed(body))
    }

    pub(super) fn delete_event_bus(&mut self, request: &DeleteEventBus) -> Answer {
        let name = bus_name(&request.name);
        if name == DEFAULT_BUS {
            return Err(ApiError::invalid("Cannot delete event bus default."));
        }
        match self.buses.get(name) {
            None => Ok(Reply::read(empty())),
            Some(bus) if !bus.rules.is_empty() => {
                Err(ApiError::invalid(format!("Event bus {name} can't be deleted since it has rules.")))
            }
            Some(_) => {
                self.buses.remove(name);
                Ok(Reply::changed(empty()))
            }
        }
    }

    pub(super) fn describe_event_bus(&self, request: &DescribeEventBus) -> Answer {
        let (name, bus) = self.event_bus(request.name.as_deref())?;
        Ok(Reply::read(self.show_bus(name, bus)))
    }

    pub(super) fn list_event_buses(&self, request: &ListEventBuses) -> Answer {
        let prefix = request.name_prefix.as_deref().unwrap_or_default();
        let buses = self.buses.iter().filter(|(name, _)| name.starts_with(prefix));
        let buses = buses.map(|(name, bus)| (name.as_str(), (name.as_str(), bus)));
        let show = |(name, bus): (&str, &EventBus)| self.show_bus(name, bus);
        Ok(Reply::read(page("EventBuses", buses, request.limit, request.next_token.as_deref(), show)?))
    }

    /// Times are in seconds since 1970, as this protocol has them.
    fn show_bus(&self, name: &str, bus: &EventBus) -> Value {
        let mut shown = json!({
            "Name": name,
            "Arn": self.bus_arn(name),
            "CreationTime": bus.created_ms / 1_000,
            "LastModifiedTime": bus.modified_ms / 1_000,
        });
        if let Some(description) = &bus.description {
            shown["Description"] = Value::from(description.as_str());
        }
        shown
    }
}
