with steps as (

    select * from {{ ref('stg_lake__alerts') }}

),

lives as (

    select
        underlying,
        session_date,
        alert_id,

        any_value(rule) as rule,
        any_value(severity) as severity,
        any_value(is_historical) as is_historical,
        any_value(cooled) as cooled,
        any_value(dedupe_key) as dedupe_key,
        any_value(title) as title,
        any_value(body) as body,
        any_value(facts) as facts,
        any_value(alert_at) as alert_at,
        any_value(alert_known_at) as alert_known_at,
        any_value(last_seen_at) as last_seen_at,

        arg_max(state, step) as state,
        count(*) as steps,
        count(*) filter (where happening = 'attempted') as attempts,
        count(*) filter (where happening = 'failed') as failed_attempts,
        count(*) filter (where happening = 'doubtful') as doubtful_attempts,
        count(distinct channel) filter (where happening = 'delivered') as channels,
        min(event_at) filter (where happening = 'raised') as raised_at,
        min(event_at) filter (where happening = 'delivered') as delivered_at,
        min(event_at) filter (where happening = 'acknowledged') as acknowledged_at,
        any_value(done_by) filter (where happening = 'acknowledged') as acknowledged_by,
        min(event_at) filter (where happening = 'resolved') as resolved_at,
        any_value(done_by) filter (where happening = 'resolved') as resolved_by,
        any_value(detail) filter (where happening = 'resolved') as resolved_because,
        max(known_at) as known_at,
    from steps
    group by underlying, session_date, alert_id

),

final as (

    select
        -- keys
        lives.alert_id,
        concat_ws('|', lives.underlying, lives.session_date) as session_id,
        lives.underlying,
        lives.session_date,
        lives.alert_at as event_at,
        lives.known_at,

        -- the alert
        lives.rule,
        lives.severity,
        lives.title,
        lives.body,
        lives.facts,
        lives.dedupe_key,
        lives.cooled,
        lives.is_historical,
        lives.alert_known_at,
        lives.last_seen_at,

        -- what became of it
        lives.state,
        lives.steps,
        lives.attempts,
        lives.failed_attempts,
        lives.doubtful_attempts,
        lives.channels,
        lives.raised_at,
        lives.delivered_at,
        epoch(lives.delivered_at - lives.raised_at) as delivery_seconds,
        lives.acknowledged_at,
        lives.acknowledged_by,
        lives.resolved_at,
        lives.resolved_by,
        lives.resolved_because,
    from lives

)

select * from final
