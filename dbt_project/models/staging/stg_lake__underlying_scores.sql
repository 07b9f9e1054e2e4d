with source as (

    select * from {{ source('lake', 'underlying_scores') }}

),

renamed as (

    select
        -- identity
        underlying,
        model,
        measure,

        -- what is measured, and where it stands
        is_simulated,
        slot,
        spot,
        expected_move_usd,
        unit,
        value,
        centre,
        scale,
        z,
        percentile,
        p_value,
        q_value,
        is_anomaly,
        score,
        severity,
        status,
        history_from,
        history_sessions,
        words,

        -- dates and instants
        session_date,
        event_at,
        known_at,
    from source

)

select * from renamed
