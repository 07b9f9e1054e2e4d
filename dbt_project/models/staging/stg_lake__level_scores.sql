with source as (

    select * from {{ source('lake', 'level_scores') }}

),

renamed as (

    select
        -- identity
        underlying,
        model,

        -- what it tells
        level_kind,
        level_state,
        level_price,
        set_at,
        reference_price,
        expected_move_usd,
        distance_moves,
        path_source,
        path_points,
        path_share,
        open_price,
        high_price,
        low_price,
        close_price,
        is_scored,
        is_touched,
        is_held,
        is_closed_beyond,
        close_distance_moves,
        trailing_sessions,
        trailing_touched,
        touched_share,
        touched_share_base,
        touched_share_p,
        held_share,
        held_share_base,
        held_share_p,
        closed_beyond_share,
        closed_beyond_share_base,
        closed_beyond_share_p,
        mean_close_distance,
        mean_close_distance_base,
        mean_close_distance_p,

        -- dates and instants
        session_date,
        event_at,
        known_at,
    from source

)

select * from renamed
