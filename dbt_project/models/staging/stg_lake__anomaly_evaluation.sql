with source as (

    select * from {{ source('lake', 'anomaly_evaluation') }}

),

renamed as (

    select
        -- identity
        underlying,
        method,
        measure,
        injected_kind,
        injected_size,
        slot,
        severity,

        -- what was counted
        hits,
        trials,
        value,
        is_null_known,
        history_sessions,
        seed,

        -- dates and instants
        session_date,
        event_at,
        known_at,
    from source

)

select * from renamed
