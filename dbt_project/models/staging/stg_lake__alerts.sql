with source as (

    select * from {{ source('lake', 'alerts') }}

),

renamed as (

    select
        -- identity
        underlying,
        alert_id,
        step,

        -- what happened
        happening,
        state,
        done_by,
        channel,
        detail,

        -- the alert
        rule,
        severity,
        is_historical,
        cooled,
        dedupe_key,
        title,
        body,
        facts,

        -- dates and instants
        session_date,
        event_at,
        known_at,
        alert_at,
        alert_known_at,
        last_seen_at,
    from source

)

select * from renamed
