with scores as (

    select * from {{ ref('stg_lake__underlying_scores') }}

),

final as (

    select
        -- keys
        concat_ws(
            '|', underlying, session_date, epoch_us(event_at), measure
        ) as underlying_score_id,
        concat_ws('|', underlying, session_date) as session_id,
        underlying,
        session_date,
        event_at,
        known_at,
        model,
        event_at = max(event_at) over (
            partition by underlying, session_date
        ) as is_session_last,

        -- what is measured, and where it stands
        measure,
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

        -- an anomaly that goes on is one event
        coalesce(
            is_anomaly and not lag(is_anomaly) over polls, is_anomaly
        ) as is_new_anomaly,
    from scores
    window polls as (partition by underlying, measure order by event_at)

)

select * from final
