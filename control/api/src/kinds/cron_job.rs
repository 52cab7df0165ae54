//! CronJob: a job made again and again at the times that a schedule names.

pub mod schedule;

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind};
use crate::kinds::fields::{self, Fields};
use crate::kinds::validation::{not_negative, one_of};
use crate::kinds::workload::Workload;
use crate::kinds::{age, columns, job, workload};
use crate::status::{FieldError, FieldPath};

use schedule::Schedule;

/// A job's name is the cron job's with eleven more bytes, and has to fit a label.
const NAME_BYTES_MAX: usize = 52;

const SCHEDULE: &str = "The schedule in Cron format, see https://en.wikipedia.org/wiki/Cron.";
const TIME_ZONE: &str = "The time zone name for the given schedule, see https://en.wikipedia.org/wiki/List_of_tz_database_time_zones. If not specified, this will default to the time zone of the kube-controller-manager process. The set of valid time zone names and the time zone offset is loaded from the system-wide time zone database by the API server during CronJob validation and the controller manager during execution. If no system-wide time zone database can be found a bundled version of the database is used instead. If the time zone name becomes invalid during the lifetime of a CronJob or due to a change in host configuration, the controller will stop creating new new Jobs and will create a system event with the reason UnknownTimeZone. More information can be found in https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#time-zones";
const SUSPEND: &str = "This flag tells the controller to suspend subsequent executions, it does not apply to already started executions.  Defaults to false.";
const LAST: &str = "Information when was the last time the job was successfully scheduled.";

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("Schedule", SCHEDULE),
        columns::text("Timezone", TIME_ZONE),
        Column { kind: "boolean".into(), ..columns::text("Suspend", SUSPEND) },
        workload::number("Active", "A list of pointers to currently running jobs."),
        columns::text("Last Schedule", LAST),
        columns::age(),
        columns::wide("Containers", workload::CONTAINERS),
        columns::wide("Images", workload::IMAGES),
        columns::wide("Selector", job::SELECTOR),
    ]
});

#[derive(Debug)]
struct CronJob;

pub(super) fn kind() -> Kind {
    workload::row(("batch", "CronJob", "cronjobs"), "io.k8s.api.batch.v1.CronJob", CronJob).short_names(&["cj"])
}

impl Workload for CronJob {
    fn default(&self, object: &mut Value) {
        let Some(spec) = fields::object_mut(object, "spec") else { return };
        fields::set_text_default(spec, "concurrencyPolicy", "Allow");
        fields::set_default(spec, "suspend", false);
        fields::set_default(spec, "successfulJobsHistoryLimit", 3);
        fields::set_default(spec, "failedJobsHistoryLimit", 1);
        if let Some(job) = fields::object_mut(spec, "jobTemplate").and_then(|job| fields::object_mut(job, "spec")) {
            workload::default_template(job);
        }
    }

    fn template_path(&self) -> &'static [&'static str] {
        &["spec", "jobTemplate", "spec", "template"]
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let name = workload::part(object, "metadata").text("name");
        if name.len() > NAME_BYTES_MAX {
            let detail = format!("must be no more than {NAME_BYTES_MAX} characters");
            errors.push(FieldError::invalid("metadata.name", name, detail));
        }
        spec(&mut errors, workload::part(object, "spec"), false);
        errors
    }

    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        // A schedule that was let in with a time zone may keep it.
        let zone_was_there = workload::part(old, "spec").text("schedule").contains("TZ");
        spec(&mut errors, workload::part(new, "spec"), zone_was_there);
        errors
    }

    fn validate_status(&self, _new: &Value, _old: &Value) -> Vec<FieldError> {
        Vec::new()
    }

    fn warnings(&self, new: &Value) -> Vec<String> {
        const ZONE: &str = "CRON_TZ or TZ used in spec.schedule is not officially supported, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details";
        let has_zone = workload::part(new, "spec").text("schedule").contains("TZ");
        if has_zone { vec![ZONE.to_owned()] } else { Vec::new() }
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (workload::part(object, "spec"), workload::part(object, "status"));
        let job = workload::part(workload::part(spec, "jobTemplate"), "spec");
        let [containers, images] = workload::container_cells(job.child("template"));
        let last = match status.child("lastScheduleTime") {
            Some(time) => Value::from(age::since(Some(time), now)),
            None => Value::from(columns::NONE),
        };
        let suspended = match spec.flag("suspend") {
            Some(true) => "True",
            Some(false) => "False",
            None => "<unset>",
        };
        vec![
            columns::name_cell(object),
            Value::from(spec.text("schedule")),
            columns::or_none(spec.text("timeZone")),
            Value::from(suspended),
            Value::from(status.list("active").len()),
            last,
            columns::age_cell(object, now),
            containers,
            images,
            workload::selector_cell(job.child("selector")),
        ]
    }
}

fn spec(errors: &mut Vec<FieldError>, spec: &Value, zone_in_schedule: bool) {
    let path = FieldPath::root("spec");
    let (text, zone) = (spec.text("schedule"), spec.text_if_set("timeZone"));
    let schedule_path = path.child("schedule");
    if text.is_empty() {
        errors.push(FieldError::required(schedule_path, ""));
    } else {
        if let Err(error) = Schedule::parse(text) {
            errors.push(FieldError::invalid(schedule_path, text, error.to_string()));
        }
        if text.contains("TZ") {
            if !zone_in_schedule {
                let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
                errors.push(FieldError::invalid(schedule_path, text, detail));
            } else if zone.is_some() {
                let detail = "cannot use both timeZone field and TZ or CRON_TZ in schedule";
                errors.push(FieldError::invalid(schedule_path, text, detail));
            }
        }
    }
    not_negative(errors, &path.child("startingDeadlineSeconds"), spec.int("startingDeadlineSeconds"));
    const POLICIES: &[&str] = &["Allow", "Forbid", "Replace"];
    one_of(errors, &path.child("concurrencyPolicy"), spec.text("concurrencyPolicy"), POLICIES);
    if let Some(zone) = zone {
        time_zone(errors, &path.child("timeZone"), zone);
    }
    job::validate::template(errors, &path.child("jobTemplate"), workload::part(spec, "jobTemplate"));
    workload::not_negatives(errors, &path, spec, &["successfulJobsHistoryLimit", "failedJobsHistoryLimit"]);
}

fn time_zone(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, zone: &str) {
    if zone.is_empty() {
        errors.push(FieldError::invalid(path, zone, "timeZone must be nil or non-empty string"));
    } else if zone.eq_ignore_ascii_case("Local") {
        let detail = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.push(FieldError::invalid(path, zone, detail));
    } else if !schedule::is_time_zone(zone) {
        errors.push(FieldError::invalid(path, zone, format!("unknown time zone {zone}")));
    }
}
