with scores as (

    select * from {{ ref('stg_lake__level_scores') }}

),

final as (

    select
        -- keys
        concat_ws(
            '|',
            scores.underlying,
            scores.session_date,
            scores.model,
            scores.level_kind
        ) as level_score_id,
        concat_ws('|', scores.underlying, scores.session_date) as session_id,
        scores.underlying,
        scores.session_date,
        scores.event_at,
        scores.known_at,
        scores.model,

        -- what it tells
        scores.level_kind,
        scores.level_state,
        scores.level_price,
        scores.set_at,
        scores.reference_price,
        scores.expected_move_usd,
        scores.distance_moves,
        scores.path_source,
        scores.path_points,
        scores.path_share,
        scores.open_price,
        scores.high_price,
        scores.low_price,
        scores.close_price,
        scores.is_scored,
        scores.is_touched,
        scores.is_held,
        scores.is_closed_beyond,
        scores.close_distance_moves,
        scores.trailing_sessions,
        scores.trailing_touched,
        scores.touched_share,
        scores.touched_share_base,
        scores.touched_share_p,
        scores.held_share,
        scores.held_share_base,
        scores.held_share_p,
        scores.closed_beyond_share,
        scores.closed_beyond_share_base,
        scores.closed_beyond_share_p,
        scores.mean_close_distance,
        scores.mean_close_distance_base,
        scores.mean_close_distance_p,
    from scores

)

select * from final
