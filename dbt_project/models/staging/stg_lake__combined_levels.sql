with source as (

    select * from {{ source('lake', 'combined_levels') }}

),

renamed as (

    select
        -- identity
        underlying,
        model,
        member,

        -- what is summed
        members,
        members_missing,
        member_at,
        age_seconds,
        spot,
        points_per_unit,

        -- sums
        net_delta_exposure_usd,
        net_gamma_exposure_usd_per_pct,
        net_vanna_exposure_usd_per_vol_pt,
        net_charm_exposure_usd_per_day,
        net_volga_exposure_usd_per_vol_pt2,
        gross_gamma_exposure_usd_per_pct,

        -- levels, in points of SPX
        flip_pct,
        flip_points,
        flip_status,
        call_wall_points,
        put_wall_points,

        -- dates and instants
        session_date,
        event_at,
        known_at,
    from source

)

select * from renamed
